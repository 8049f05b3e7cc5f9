"""Answers that differ, and patients who have to be told of one."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.api.fields import PersonSerializer, may_be_blank
from diagnosis.models import (
    Discrepancy,
    FractureAnswer,
    PreliminaryRead,
    RecallContact,
    RecallTask,
)

_PERSON = {"id": examples.DOCTOR_ID, "name": "Dr. Example"}
_RECALL = {
    "id": "7c1f6c52-2b1e-4c6f-8a0c-66c1d7f2b913",
    "discrepancy": "5a1f6c52-1d3e-4b6f-9a0c-55c1d7f2b914",
    "study": examples.STUDY_ID,
    "patient": examples.PATIENT_ID,
    "opened_by": _PERSON,
    "created_at": examples.AT,
    "contacts": [
        {"contacted_at": examples.AT, "way": "phone", "result": "reached", "author": _PERSON}
    ],
    "outcome": "",
    "closed_by": None,
    "closed_at": None,
}
_DISCREPANCY = {
    "id": _RECALL["discrepancy"],
    "study": examples.STUDY_ID,
    "patient": examples.PATIENT_ID,
    "kind": "preliminary",
    "version": 1,
    "first": "no",
    "second": "yes",
    "remark": "",
    "severity": "major",
    "resolution": "",
    "resolved_by": None,
    "resolved_at": None,
    "recall": _RECALL["id"],
    "created_at": examples.AT,
}
_CONTACT = {"contacted_at": examples.AT, "way": "phone", "result": "reached"}


@extend_schema_serializer(examples=[OpenApiExample("Discrepancy", _DISCREPANCY)])
class DiscrepancySerializer(serializers.ModelSerializer[Discrepancy]):
    """Two answers to one study that differ; open until somebody says what came of it."""

    study = serializers.UUIDField(source="study_id", read_only=True)
    patient = serializers.UUIDField(source="study.patient_id", read_only=True)
    version = serializers.IntegerField(
        source="version_number", read_only=True, help_text="Of the report that was signed."
    )
    resolved_by = PersonSerializer(read_only=True, allow_null=True)
    recall = serializers.UUIDField(
        source="recall.id", read_only=True, default=None, allow_null=True,
        help_text="The patient's recall, if there is one.",
    )  # fmt: skip

    class Meta:
        model = Discrepancy
        fields = [
            "id", "study", "patient", "kind", "version", "first", "second", "remark", "severity",
            "resolution", "resolved_by", "resolved_at", "recall", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Rating", {"severity": "major"})])
class DiscrepancyRateSerializer(serializers.Serializer[Any]):
    """How much it matters."""

    severity = serializers.ChoiceField(
        choices=Discrepancy.Severity.choices,
        help_text="`minor`, or `major`: it could have harmed the patient, and opens a recall.",
    )


@extend_schema_serializer(
    examples=[OpenApiExample("Resolution", {"resolution": "Report amended, patient informed."})]
)
class DiscrepancyResolveSerializer(serializers.Serializer[Any]):
    """What came of it."""

    resolution = serializers.CharField(max_length=2000)


class RecallContactSerializer(serializers.ModelSerializer[RecallContact]):
    """One attempt to reach the patient; never a number or an address."""

    author = PersonSerializer(read_only=True)

    class Meta:
        model = RecallContact
        fields = ["contacted_at", "way", "result", "author"]
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Recall", _RECALL)])
class RecallSerializer(serializers.ModelSerializer[RecallTask]):
    """A patient who has to be told; open until somebody has closed it."""

    discrepancy = serializers.UUIDField(source="discrepancy_id", read_only=True)
    study = serializers.UUIDField(source="discrepancy.study_id", read_only=True)
    patient = serializers.UUIDField(source="discrepancy.study.patient_id", read_only=True)
    opened_by = PersonSerializer(read_only=True)
    closed_by = PersonSerializer(read_only=True, allow_null=True)
    contacts = RecallContactSerializer(many=True, read_only=True)

    class Meta:
        model = RecallTask
        fields = [
            "id", "discrepancy", "study", "patient", "opened_by", "created_at", "contacts",
            "outcome", "closed_by", "closed_at",
        ]  # fmt: skip
        read_only_fields = fields
        extra_kwargs = may_be_blank("outcome")


@extend_schema_serializer(examples=[OpenApiExample("Contact", _CONTACT)])
class RecallContactAddSerializer(serializers.Serializer[Any]):
    """When, how and with what result."""

    contacted_at = serializers.DateTimeField()
    way = serializers.ChoiceField(choices=RecallContact.Way.choices)
    result = serializers.ChoiceField(choices=RecallContact.Result.choices)


@extend_schema_serializer(examples=[OpenApiExample("Outcome", {"outcome": "informed"})])
class RecallCloseSerializer(serializers.Serializer[Any]):
    """How it ended."""

    outcome = serializers.ChoiceField(choices=RecallTask.Outcome.choices)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Answer",
            {"answer": "no", "note": "First look", "author": _PERSON, "created_at": examples.AT},
            response_only=True,
        ),
        OpenApiExample("Given", {"answer": "no", "note": "First look"}, request_only=True),
    ]
)
class PreliminaryReadSerializer(serializers.ModelSerializer[PreliminaryRead]):
    """A quick answer of the treating doctor until the final report, which prints it as such."""

    answer = serializers.ChoiceField(choices=FractureAnswer.choices)
    note = serializers.CharField(max_length=1000, required=False, allow_blank=True)
    author = PersonSerializer(read_only=True)

    class Meta:
        model = PreliminaryRead
        fields = ["answer", "note", "author", "created_at"]
        read_only_fields = ["author", "created_at"]
