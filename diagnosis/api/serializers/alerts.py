"""Critical results."""

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.models import Alert, AlertRecipient

_ALERT = {
    "id": "1b9f1c52-1d3e-4b6f-9a0c-55c1d7f2b912",
    "study": examples.STUDY_ID,
    "patient": examples.PATIENT_ID,
    "created_at": examples.AT,
    "level": 1,
    "next_at": None,
    "acknowledged_at": examples.AT,
    "acknowledged_by": examples.DOCTOR_ID,
    "read_first": False,
    "recipients": [{"user": examples.DOCTOR_ID, "level": 0, "told_at": examples.AT}],
}


class AlertRecipientSerializer(serializers.ModelSerializer[AlertRecipient]):
    """Who was told, and when."""

    user = serializers.UUIDField(source="user_id", read_only=True)
    told_at = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = AlertRecipient
        fields = ["user", "level", "told_at"]
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Alert", _ALERT)])
class AlertSerializer(serializers.ModelSerializer[Alert]):
    """A result that named people must know of, and who has answered."""

    study = serializers.UUIDField(source="study_id", read_only=True)
    patient = serializers.UUIDField(source="study.patient_id", read_only=True)
    acknowledged_by = serializers.UUIDField(
        source="acknowledged_by_id",
        read_only=True,
        allow_null=True,
        help_text="Null until somebody answers.",
    )
    read_first = serializers.BooleanField(
        source="is_masked",
        read_only=True,
        help_text="The caller has to answer for themselves before they may know what it is about.",
    )
    recipients = AlertRecipientSerializer(many=True, read_only=True)

    class Meta:
        model = Alert
        fields = [
            "id",
            "study",
            "patient",
            "created_at",
            "level",
            "next_at",
            "acknowledged_at",
            "acknowledged_by",
            "read_first",
            "recipients",
        ]
        read_only_fields = fields
