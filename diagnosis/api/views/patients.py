"""Patients: list, register, correct, merge."""

from uuid import UUID

from django.db.models import QuerySet
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from diagnosis.api.base import ClinicViewSet
from diagnosis.api.filters import PatientFilter
from diagnosis.api.schema import Refusal, operation
from diagnosis.api.serializers.patients import (
    PatientInputSerializer,
    PatientMergeSerializer,
    PatientSerializer,
)
from diagnosis.models import Patient
from diagnosis.selectors import patient_get, patient_list
from diagnosis.services.patients import (
    patient_create,
    patient_merge,
    patient_unmerge,
    patient_update,
)
from diagnosis.services.reading import patient_open

_TAKEN = Refusal(409, "record_number_taken", "`patient` names who has it.")
_MERGED = Refusal(409, "patient_merged", "`patient` names the record that was kept.")
_NOT_MERGED = Refusal(409, "patient_not_merged", "There is nothing to undo.")
_SAME = Refusal(422, "same_patient", "A record cannot be merged into itself.")


class PatientViewSet(mixins.ListModelMixin, ClinicViewSet[Patient]):
    """The clinic's patients."""

    queryset = Patient.objects.none()
    serializer_class = PatientSerializer
    filterset_class = PatientFilter

    def get_queryset(self) -> QuerySet[Patient]:
        """Rows of the caller's clinic; merged records are left out."""
        return patient_list(user=self.actor, q=self.request.query_params.get("q", ""))

    @operation(
        "List patients",
        "Newest first. Merged records are left out.",
        responses={200: PatientSerializer(many=True)},
        errors=("invalid",),
    )
    def list(self, request: Request) -> Response:
        """Return a page."""
        response = super().list(request)
        rows = response.data["results"]
        self.note_list("patient", (row["id"] for row in rows))
        return response

    @operation(
        "Register a patient",
        "The record number is unique in the clinic.",
        request=PatientInputSerializer,
        responses={201: PatientSerializer},
        errors=("invalid", _TAKEN, "idempotency_key_reused"),
    )
    def create(self, request: Request) -> Response:
        """Register a patient."""
        body = PatientInputSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        patient = patient_create(
            actor=self.actor, clinic_id=self.membership.clinic_id, **body.validated_data
        )
        address = reverse("api:patient-detail", args=[patient.pk], request=request)
        return self._answer(patient, status.HTTP_201_CREATED, Location=address)

    @operation(
        "Read a patient",
        "Also a merged record: `merged_into` then names the one that was kept.",
        responses={200: PatientSerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one patient."""
        patient = patient_get(user=self.actor, pk=pk)
        patient_open(actor=self.actor, patient=patient)
        return self._answer(patient)

    @operation(
        "Correct a patient",
        "Fields that are left out stay as they are.",
        request=PatientInputSerializer(partial=True),
        responses={200: PatientSerializer},
        errors=("invalid", "not_found", _TAKEN, _MERGED),
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change some fields."""
        patient = patient_get(user=self.actor, pk=pk)
        body = PatientInputSerializer(patient, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        changed = patient_update(actor=self.actor, patient=patient, **body.validated_data)
        return self._answer(changed)

    @operation(
        "Merge a patient into another",
        "For one person with two records. The studies move to the record that is kept; the merge "
        "can be undone.",
        request=PatientMergeSerializer,
        responses={200: PatientSerializer},
        errors=("invalid", "not_found", _MERGED, _SAME, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def merge(self, request: Request, pk: UUID) -> Response:
        """Merge this record into the one named."""
        source = patient_get(user=self.actor, pk=pk)
        body = PatientMergeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        target = patient_get(user=self.actor, pk=body.validated_data["into"])
        patient_merge(actor=self.actor, source=source, target=target)
        return self._answer(patient_get(user=self.actor, pk=pk))

    @operation(
        "Undo a merge",
        "The studies that came from this record move back to it.",
        responses={200: PatientSerializer},
        errors=("not_found", _NOT_MERGED, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def unmerge(self, _request: Request, pk: UUID) -> Response:
        """Make the record a patient of its own again."""
        patient_unmerge(actor=self.actor, patient=patient_get(user=self.actor, pk=pk))
        return self._answer(patient_get(user=self.actor, pk=pk))

    def _answer(self, patient: Patient, code: int = status.HTTP_200_OK, **headers: str) -> Response:
        return Response(PatientSerializer(patient).data, status=code, headers=headers)
