"""Who reads a study, for whom it is, and why it is where it is on the worklist."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api.examples import DOCTOR_ID
from diagnosis.models import StudyClaim


@extend_schema_serializer(component_name="StudyClaim")
class ClaimSerializer(serializers.ModelSerializer[StudyClaim]):
    """A doctor who reads the study now; without activity it ends by itself."""

    doctor = serializers.UUIDField(source="doctor_id", read_only=True)
    doctor_name = serializers.CharField(source="doctor.display_name", read_only=True)

    class Meta:
        model = StudyClaim
        fields = ["doctor", "doctor_name", "claimed_at", "seen_at"]
        read_only_fields = fields


class UrgencyPartSerializer(serializers.Serializer[Any]):
    """One addend of the rank."""

    code = serializers.CharField(help_text="Stable: `priority_stat`, `verdict_definite`, …")
    points = serializers.FloatField()


class UrgencySerializer(serializers.Serializer[Any]):
    """The rank on the worklist: the sum of its parts; higher is read first."""

    score = serializers.FloatField()
    parts = UrgencyPartSerializer(many=True)


@extend_schema_serializer(examples=[OpenApiExample("Take over", {"take_over_from": DOCTOR_ID})])
class ClaimRequestSerializer(serializers.Serializer[Any]):
    """Nothing, or from whom the claim is taken over."""

    take_over_from = serializers.UUIDField(
        required=False, help_text="The doctor who holds the claim; see `claim.doctor`."
    )


@extend_schema_serializer(examples=[OpenApiExample("Assign", {"doctor": DOCTOR_ID})])
class AssignRequestSerializer(serializers.Serializer[Any]):
    """Who shall read the study."""

    doctor = serializers.UUIDField(allow_null=True, help_text="Null for anybody.")
