"""Reports: the newest version's text, and the list of versions."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.api.fields import PersonSerializer
from diagnosis.models import ReportVersion
from diagnosis.selectors.recalls import report_is_recalled

_TEXTS = ["technique", "comparison", "findings", "impression", "recommendation"]


class SignerSerializer(serializers.Serializer[ReportVersion]):
    """The signer, with the name as it was when the report was signed."""

    id = serializers.UUIDField(source="signed_by_id", read_only=True)
    name = serializers.CharField(source="signer_name", read_only=True)


class _VersionSerializer(serializers.ModelSerializer[ReportVersion]):
    author = PersonSerializer(read_only=True)
    signed_by = serializers.SerializerMethodField()
    verification_hash = serializers.CharField(
        source="content_sha256",
        read_only=True,
        help_text="SHA-256 of the signed content, as printed on the PDF; blank for a draft.",
    )

    second_signed_by = serializers.SerializerMethodField()
    withdrawn = serializers.SerializerMethodField(
        help_text="Whether this signed version must not be used any more."
    )

    class Meta:
        model = ReportVersion
        fields = [
            "number",
            "status",
            "reason",
            "author",
            "signed_by",
            "second_signed_by",
            "signed_at",
            "withdrawn",
            "verification_hash",
        ]
        read_only_fields = fields

    @extend_schema_field(SignerSerializer(allow_null=True))
    def get_signed_by(self, version: ReportVersion) -> Any:
        """Return who signed; null for a draft."""
        return SignerSerializer(version).data if version.signed_by_id else None

    @extend_schema_field(SignerSerializer(allow_null=True))
    def get_second_signed_by(self, version: ReportVersion) -> Any:
        """Return the second reader; null without one."""
        if version.second_signer_id is None:
            return None
        return {"id": str(version.second_signer_id), "name": version.second_signer_name}

    def get_withdrawn(self, version: ReportVersion) -> bool:
        """Return whether it was withdrawn."""
        return hasattr(version, "withdrawal")


class ReportVersionSerializer(_VersionSerializer):
    """One text of the report: at most one draft; signed ones never change."""


@extend_schema_serializer(examples=[OpenApiExample("Row", examples.REPORT_ROW)])
class ReportSummarySerializer(_VersionSerializer):
    """A row of the list: state and people; the texts are read, and audited, one by one."""

    id = serializers.UUIDField(source="report_id", read_only=True)
    study = serializers.UUIDField(source="report.study_id", read_only=True)
    version = serializers.IntegerField(source="number", read_only=True)
    created_at = serializers.DateTimeField(source="report.created_at", read_only=True)

    class Meta(_VersionSerializer.Meta):
        fields = [
            "id",
            "study",
            "status",
            "version",
            "revision",
            "reason",
            "author",
            "signed_by",
            "second_signed_by",
            "signed_at",
            "withdrawn",
            "verification_hash",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Report", examples.REPORT)])
class ReportSerializer(ReportSummarySerializer):
    """A study's report: its newest version in full, and what came before."""

    recalled = serializers.SerializerMethodField(
        help_text="The newest signed version rests on a recalled model: judge it anew."
    )
    versions = ReportVersionSerializer(source="report.versions.all", many=True, read_only=True)

    class Meta(ReportSummarySerializer.Meta):
        fields = [*ReportSummarySerializer.Meta.fields, *_TEXTS, "recalled", "versions"]
        read_only_fields = fields

    def get_recalled(self, version: ReportVersion) -> bool:
        """Return whether a model behind the newest signed version was recalled."""
        return report_is_recalled(version.report)


class ReportTextsSerializer(serializers.ModelSerializer[ReportVersion]):
    """The texts of a draft; what is left out stays as it is."""

    class Meta:
        model = ReportVersion
        fields = _TEXTS


@extend_schema_serializer(examples=[OpenApiExample("Draft", {"impression": "No fracture."})])
class ReportUpdateSerializer(ReportTextsSerializer):
    """Changes of a draft."""


@extend_schema_serializer(
    examples=[OpenApiExample("Prefilled report", {"study": examples.STUDY_ID})]
)
class ReportCreateSerializer(ReportTextsSerializer):
    """A new report; texts that are left out are prefilled from the findings."""

    study = serializers.UUIDField()

    class Meta(ReportTextsSerializer.Meta):
        fields = ["study", *_TEXTS]


@extend_schema_serializer(examples=[OpenApiExample("Password", {"password": "…"})])
class SignSerializer(serializers.Serializer[Any]):
    """The signer's password or one-time code.

    Both may be missing for a session that was signed in again in the last two minutes.
    """

    password = serializers.CharField(
        required=False, trim_whitespace=False, max_length=1000, write_only=True
    )
    otp = serializers.CharField(required=False, max_length=20, write_only=True)


@extend_schema_serializer(examples=[OpenApiExample("Password", {"password": "…"})])
class FinishSerializer(SignSerializer):
    """A signature, and whether a second reader is asked for."""

    second_reader = serializers.BooleanField(
        required=False, help_text="Where the clinic allows it; some reports always have one."
    )


@extend_schema_serializer(
    examples=[OpenApiExample("Reason", {"reason": "Wrong patient", "password": "…"})]
)
class WithdrawSerializer(SignSerializer):
    """Why the signed report must not be used."""

    reason = serializers.CharField(max_length=2000)


@extend_schema_serializer(examples=[OpenApiExample("Remark", {"remark": "I see no line."})])
class DisagreeSerializer(serializers.Serializer[Any]):
    """What the second reader sees otherwise."""

    remark = serializers.CharField(max_length=2000)


@extend_schema_serializer(examples=[OpenApiExample("Reason", {"reason": "Side corrected"})])
class AmendSerializer(serializers.Serializer[Any]):
    """Why the signed report is amended."""

    reason = serializers.CharField(max_length=2000)


class VersionQuerySerializer(serializers.Serializer[Any]):
    """Which version."""

    version = serializers.IntegerField(
        min_value=1, required=False, help_text="Number of a signed version; the newest by default."
    )
