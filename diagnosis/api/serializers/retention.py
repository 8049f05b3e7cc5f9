"""The retention policy, holds, erasures, and files with all data of a patient."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.api.fields import may_be_blank
from diagnosis.api.serializers.reports import SignSerializer
from diagnosis.models import Erasure, PatientExport, RetentionPolicy

_POLICY: dict[str, Any] = {
    "keep_years": 10,
    "minors_until_age": 28,
    "reports_years": 10,
    "grace_days": 30,
}
_JOB: dict[str, Any] = {
    "id": "0a9d8f37-0e0c-4b43-a1f3-5a3f0d8f2b11",
    "patient": examples.PATIENT_ID,
    "status": "queued",
    "error_code": "",
    "created_at": "2026-11-20T09:00:00Z",
    "finished_at": None,
}


@extend_schema_serializer(examples=[OpenApiExample("Ten years", _POLICY)])
class RetentionPolicySerializer(serializers.ModelSerializer[RetentionPolicy]):
    """How long the clinic keeps its patients; `keep_years: null` keeps them for ever."""

    keep_years = serializers.IntegerField(allow_null=True, min_value=0, max_value=1000)
    minors_until_age = serializers.IntegerField(min_value=0, max_value=1000)
    reports_years = serializers.IntegerField(min_value=0, max_value=1000)
    grace_days = serializers.IntegerField(min_value=0, max_value=1000)

    class Meta:
        model = RetentionPolicy
        fields = ["keep_years", "minors_until_age", "reports_years", "grace_days"]


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Erasure",
            _JOB
            | {
                "source": "request", "reason": "person", "due_at": "2026-11-20T09:00:00Z",
                "emptied_at": None, "studies": 0, "objects_deleted": 0,
            },
            status_codes=["200", "202"],
        )
    ]
)  # fmt: skip
class ErasureSerializer(serializers.ModelSerializer[Erasure]):
    """An erasure that is planned (`due_at` lies ahead), under way, done or failed."""

    patient = serializers.UUIDField(source="patient_id", read_only=True)

    class Meta:
        model = Erasure
        fields = [
            "id", "patient", "source", "reason", "status", "error_code", "created_at", "due_at",
            "emptied_at", "finished_at", "studies", "objects_deleted",
        ]  # fmt: skip
        read_only_fields = fields
        extra_kwargs = may_be_blank("reason")


@extend_schema_serializer(
    examples=[
        OpenApiExample("On request", {"record_number": "4711", "reason": "person", "password": "…"})
    ]
)
class EraseSerializer(SignSerializer):
    """Which patient, named a second time, why, and the proof of who asks."""

    record_number = serializers.CharField(max_length=64, write_only=True)
    reason = serializers.ChoiceField(choices=Erasure.Reason.choices)


@extend_schema_serializer(examples=[OpenApiExample("Hold", {"reason": "Lawsuit 12/26"})])
class HoldSerializer(serializers.Serializer[Any]):
    """Why a patient must be kept."""

    reason = serializers.CharField(max_length=500)


@extend_schema_serializer(examples=[OpenApiExample("Hold", {"held": True})])
class HeldSerializer(serializers.Serializer[Any]):
    """Whether a patient is kept from being erased."""

    held = serializers.BooleanField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "File",
            _JOB
            | {
                "status": "succeeded", "progress": 100, "sha256": "ab" * 32,
                "size_bytes": 8_123_456, "expires_at": "2026-11-22T09:00:00Z", "downloads": 0,
            },
            status_codes=["200", "202"],
        )
    ]
)  # fmt: skip
class PatientExportSerializer(serializers.ModelSerializer[PatientExport]):
    """A file with all data of a patient, or the promise of one; `progress` is in percent."""

    patient = serializers.UUIDField(source="patient_id", read_only=True)

    class Meta:
        model = PatientExport
        fields = [
            "id", "patient", "status", "error_code", "progress", "sha256", "size_bytes",
            "expires_at", "downloads", "created_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields
