"""Studies."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.api.fields import PriorityField, may_be_blank
from diagnosis.api.serializers.images import ImageSerializer
from diagnosis.api.serializers.results import StudyResultSerializer
from diagnosis.api.serializers.worklist import ClaimSerializer, UrgencySerializer
from diagnosis.models import Priority, Study, Verdict
from diagnosis.selectors.recalls import study_is_recalled
from diagnosis.services.study_urgency import study_urgency_parts

_INPUT = ["clinical_question", "body_part", "side", "priority", "accession_number"]
_SUMMARY = [
    "id",
    "patient",
    *_INPUT,
    "status",
    "verdict",
    "probability",
    "region",
    "severity",
    "new_image_after_report",
    "created_at",
    "updated_at",
]


@extend_schema_serializer(examples=[OpenApiExample("Study", examples.STUDY_SUMMARY)])
class StudySummarySerializer(serializers.ModelSerializer[Study]):
    """A study as lists show it; everything from `status` on is derived."""

    patient = serializers.UUIDField(source="patient_id", read_only=True)
    priority = PriorityField(read_only=True)
    verdict = serializers.ChoiceField(
        choices=Verdict.choices, read_only=True, allow_blank=True, help_text="Blank until analysed."
    )

    class Meta:
        model = Study
        fields = _SUMMARY
        read_only_fields = fields
        extra_kwargs = may_be_blank("body_part", "side")


@extend_schema_serializer(examples=[OpenApiExample("Study", examples.STUDY)])
class StudySerializer(StudySummarySerializer):
    """A study with its images, the AI's result and the id of its report."""

    report = serializers.SerializerMethodField(help_text="Id of the report, null without one.")
    assigned_to = serializers.UUIDField(
        source="assigned_to_id",
        read_only=True,
        allow_null=True,
        help_text="Who shall read it, null for anybody.",
    )
    claim = serializers.SerializerMethodField(help_text="Who reads it now, null for nobody.")
    urgency = serializers.SerializerMethodField(help_text="Its rank on the worklist, explained.")
    warnings = serializers.SerializerMethodField(help_text="What does not fit together.")
    images = serializers.SerializerMethodField()
    result = serializers.SerializerMethodField(help_text="Null until an image was analysed.")
    recalled = serializers.SerializerMethodField(
        help_text="The result or the signed report rests on a recalled model: do not rely on it."
    )

    class Meta(StudySummarySerializer.Meta):
        fields = [
            *_SUMMARY,
            "report",
            "assigned_to",
            "claim",
            "urgency",
            "warnings",
            "images",
            "result",
            "recalled",
        ]
        read_only_fields = fields

    def get_recalled(self, study: Study) -> bool:
        """Return whether a model behind it was recalled."""
        return study_is_recalled(study)

    @extend_schema_field({"type": ["string", "null"], "format": "uuid"})
    def get_report(self, study: Study) -> str | None:
        """Return the report's id."""
        return str(study.report.pk) if hasattr(study, "report") else None

    @extend_schema_field(ClaimSerializer(allow_null=True))
    def get_claim(self, _study: Study) -> dict[str, Any] | None:
        """Return the claim that the view has fetched."""
        claim = self.context["claim"]
        return ClaimSerializer(claim).data if claim else None

    @extend_schema_field(UrgencySerializer)
    def get_urgency(self, study: Study) -> dict[str, Any]:
        """Return the rank and what it is made of."""
        parts = study_urgency_parts(study)
        return UrgencySerializer({"score": study.urgency, "parts": parts}).data

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_warnings(self, _study: Study) -> list[str]:
        """Return stable codes."""
        codes: list[str] = self.context["warnings"]
        return codes

    @extend_schema_field(ImageSerializer(many=True))
    def get_images(self, _study: Study) -> Any:
        """Return the images that the view has fetched."""
        return ImageSerializer(self.context["images"], many=True, context=self.context).data

    @extend_schema_field(StudyResultSerializer(allow_null=True))
    def get_result(self, study: Study) -> dict[str, Any] | None:
        """Return the stored aggregation as it is."""
        return study.result


@extend_schema_serializer(examples=[OpenApiExample("Study", examples.STUDY_CREATE)])
class StudyCreateSerializer(serializers.ModelSerializer[Study]):
    """A request for an examination."""

    patient = serializers.UUIDField()
    priority = PriorityField(default=Priority.ROUTINE.value)

    class Meta:
        model = Study
        fields = ["patient", *_INPUT]


@extend_schema_serializer(examples=[OpenApiExample("Study", {"priority": "stat"})])
class StudyUpdateSerializer(serializers.ModelSerializer[Study]):
    """Changes of a request; the patient changes by `move` only."""

    patient = serializers.UUIDField(
        required=False, help_text="Accepted when it is the present one; see `move`."
    )
    priority = PriorityField(required=False)

    class Meta:
        model = Study
        fields = ["patient", *_INPUT]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse another patient: a stale copy must not move a study back."""
        patient = attrs.pop("patient", None)
        if patient is not None and self.instance and patient != self.instance.patient_id:
            raise serializers.ValidationError(
                {"patient": _("Use the study's move address to change its patient.")}
            )
        return attrs


@extend_schema_serializer(examples=[OpenApiExample("Patient", {"patient": examples.PATIENT_ID})])
class StudyMoveSerializer(serializers.Serializer[Any]):
    """Whose examination it is."""

    patient = serializers.UUIDField(help_text="Id of the patient that the study belongs to.")
