"""Patients."""

from datetime import date
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.api.fields import SexField
from diagnosis.models import Patient

_EARLIEST_BIRTH = date(1850, 1, 1)
_INPUT = ["record_number", "given_name", "family_name", "birth_date", "sex"]


@extend_schema_serializer(examples=[OpenApiExample("Patient", examples.PATIENT)])
class PatientSerializer(serializers.ModelSerializer[Patient]):
    """A person in the clinic; `merged_into` is set when the record was merged into another."""

    merged_into = serializers.UUIDField(source="merged_into_id", read_only=True, allow_null=True)

    class Meta:
        model = Patient
        fields = ["id", *_INPUT, "merged_into", "created_at", "updated_at"]
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Patient", examples.PATIENT_INPUT)])
class PatientInputSerializer(serializers.ModelSerializer[Patient]):
    """What a client says of a patient."""

    sex = SexField(required=False)

    class Meta:
        model = Patient
        fields = _INPUT

    def validate_birth_date(self, value: date | None) -> date | None:
        """Refuse a date on which no patient can have been born."""
        if value and not _EARLIEST_BIRTH <= value <= timezone.localdate():
            raise serializers.ValidationError(_("This is not a date of birth."))
        return value


@extend_schema_serializer(examples=[OpenApiExample("Kept", {"into": examples.PATIENT_ID})])
class PatientMergeSerializer(serializers.Serializer[Any]):
    """The record that is kept."""

    into = serializers.UUIDField(help_text="Id of the patient record that is kept.")
