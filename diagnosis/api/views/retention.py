"""Keeping and erasing: the policy, holds, erasures, and all data of one patient as a file."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.policy import Action, require
from accounts.reauthentication import credentials_confirm
from diagnosis.api.base import ClinicViewSet
from diagnosis.api.schema import Refusal, binary, operation
from diagnosis.api.serializers.patients import PatientSerializer
from diagnosis.api.serializers.reports import SignSerializer
from diagnosis.api.serializers.retention import (
    EraseSerializer,
    ErasureSerializer,
    HeldSerializer,
    HoldSerializer,
    PatientExportSerializer,
    RetentionPolicySerializer,
)
from diagnosis.models import Erasure, Patient, PatientExport, RetentionPolicy
from diagnosis.selectors import patient_get
from diagnosis.selectors.retention import (
    erasure_get,
    erasures,
    hold_of,
    patient_export_get,
    retention_policy,
)
from diagnosis.services.erasures import erasure_cancel, erasure_request, erasure_retry
from diagnosis.services.patient_exports import patient_export_hand_out, patient_export_request
from diagnosis.services.retention import hold_place, hold_release, retention_policy_update
from diagnosis.storage import object_response

_NOT_CONFIRMED = Refusal(403, "reauthentication_failed", "The password or code is not right.")
_NOT_GIVEN = Refusal(403, "reauthentication_required", "Neither password nor code was sent.")
_TOO_MANY = Refusal(429, "too_many_attempts", "Too many wrong attempts; wait five minutes.")
_PROOF = (_NOT_CONFIRMED, _NOT_GIVEN, _TOO_MANY)
_HELD = Refusal(409, "patient_held", "The patient is under a legal hold.")
_NOT_HELD = Refusal(409, "patient_not_held", "There is no hold to lift.")
_MERGED = Refusal(409, "patient_merged", "`patient` names the record that was kept.")
_REPORTS = Refusal(409, "reports_kept", "Signed reports must be kept; `until` says until when.")
_OPEN = Refusal(409, "erasure_open", "The patient is being erased already.")
_DIFFERS = Refusal(422, "record_number_differs", "This is not the patient's record number.")
_BEGUN = Refusal(409, "erasure_begun", "It cannot be taken back any more.")
_NOT_FAILED = Refusal(409, "erasure_not_failed", "There is nothing to try again.")
_UNUSABLE = Refusal(422, "retention_unusable", "Years or days are out of bounds; see `fields`.")
_EXPORT_OPEN = Refusal(409, "export_open", "A file of the patient is being made.")
_NOT_READY = Refusal(409, "export_not_ready", "The file is not there, or not any more.")


class RetentionViewSet(ClinicViewSet[RetentionPolicy]):
    """The clinic's retention policy."""

    queryset = RetentionPolicy.objects.none()
    serializer_class = RetentionPolicySerializer

    @operation(
        "Read the retention policy",
        "How long patients are kept after their last visit.",
        responses={200: RetentionPolicySerializer},
    )
    def retrieve(self, _request: Request) -> Response:
        """Return the policy."""
        _require(self, Action.RETENTION_MANAGE)
        return Response(RetentionPolicySerializer(retention_policy(user=self.actor)).data)

    @operation(
        "Change the retention policy",
        "Whom it no longer keeps is erased after `grace_days`, unless a hold is placed.",
        request=RetentionPolicySerializer,
        responses={200: RetentionPolicySerializer},
        errors=("invalid", _UNUSABLE),
    )
    def update(self, request: Request) -> Response:
        """Store the policy."""
        body = RetentionPolicySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        policy = retention_policy_update(
            actor=self.actor, clinic_id=self.membership.clinic_id, **body.validated_data
        )
        return Response(RetentionPolicySerializer(policy).data)


class PatientPrivacyViewSet(ClinicViewSet[Patient]):
    """What can be done about one patient's data as a whole."""

    queryset = Patient.objects.none()
    serializer_class = PatientSerializer

    @operation(
        "Erase a patient",
        "For good: names, numbers, images, reports and texts; figures stay. A worker does it.",
        request=EraseSerializer,
        responses={202: ErasureSerializer},
        errors=(
            "invalid", "not_found", *_PROOF, _HELD, _REPORTS, _OPEN, _MERGED, _DIFFERS,
            "idempotency_key_reused",
        ),
    )  # fmt: skip
    def erase(self, request: Request, pk: UUID) -> Response:
        """Confirm the credentials, then promise it."""
        patient, body = self._asked(request, pk, EraseSerializer, Action.PATIENT_ERASE)
        erasure = erasure_request(actor=self.actor, patient=patient, **body)
        return Response(ErasureSerializer(erasure).data, status=status.HTTP_202_ACCEPTED)

    @operation(
        "Place a legal hold",
        "The patient is not erased until the hold is lifted; a planned erasure is taken back.",
        request=HoldSerializer,
        responses={200: HeldSerializer},
        errors=("invalid", "not_found", _HELD, _MERGED, "idempotency_key_reused"),
    )
    def hold(self, request: Request, pk: UUID) -> Response:
        """Keep the patient."""
        patient = patient_get(user=self.actor, pk=pk)
        body = HoldSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        hold_place(actor=self.actor, patient=patient, **body.validated_data)
        return Response({"held": True})

    @operation(
        "Lift a legal hold",
        "The policy counts again.",
        responses={200: HeldSerializer},
        errors=("not_found", _NOT_HELD, "idempotency_key_reused"),
    )
    def release(self, _request: Request, pk: UUID) -> Response:
        """Let the policy count again."""
        patient = patient_get(user=self.actor, pk=pk)
        hold_release(actor=self.actor, patient=patient)
        return Response({"held": hold_of(patient_id=patient.pk) is not None})

    @operation(
        "Make a file with all data of a patient",
        "Images as they came, signed reports, texts, FHIR, and who read it. A worker makes it.",
        request=SignSerializer,
        responses={202: PatientExportSerializer},
        errors=("invalid", "not_found", *_PROOF, _EXPORT_OPEN, _MERGED, "idempotency_key_reused"),
    )
    def export(self, request: Request, pk: UUID) -> Response:
        """Confirm the credentials, then promise it."""
        patient, _body = self._asked(request, pk, SignSerializer, Action.PATIENT_EXPORT)
        export = patient_export_request(actor=self.actor, patient=patient)
        return Response(PatientExportSerializer(export).data, status=status.HTTP_202_ACCEPTED)

    def _asked(
        self, request: Request, pk: UUID, serializer: type[SignSerializer], wanted: Action
    ) -> tuple[Patient, dict[str, Any]]:
        """Return patient and body once rights and credentials are in order."""
        patient = patient_get(user=self.actor, pk=pk)
        _require(self, wanted)
        body = serializer(data=request.data)
        body.is_valid(raise_exception=True)
        _confirm(request, said := dict(body.validated_data))
        return patient, said


class ErasureViewSet(mixins.ListModelMixin, ClinicViewSet[Erasure]):
    """What is planned, under way, done and failed."""

    queryset = Erasure.objects.none()
    serializer_class = ErasureSerializer

    def get_queryset(self) -> QuerySet[Erasure]:
        """Rows of the caller's clinic."""
        return erasures(user=self.actor)

    @operation(
        "List erasures",
        "Newest first; ids and states only.",
        responses={200: ErasureSerializer(many=True)},
        errors=("invalid",),
    )
    def list(self, request: Request) -> Response:
        """Return a page."""
        _require(self, Action.RETENTION_MANAGE)
        return super().list(request)

    @operation(
        "Read an erasure",
        "How far it is.",
        responses={200: ErasureSerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one."""
        erasure = erasure_get(user=self.actor, pk=pk)
        _require(self, Action.RETENTION_MANAGE)
        return Response(ErasureSerializer(erasure).data)

    @operation(
        "Take a planned erasure back",
        "The policy proposes the patient again unless a hold is placed.",
        responses={200: ErasureSerializer},
        errors=("not_found", _BEGUN, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def cancel(self, _request: Request, pk: UUID) -> Response:
        """End it before it begins."""
        erasure_cancel(actor=self.actor, erasure=erasure_get(user=self.actor, pk=pk))
        return Response(ErasureSerializer(erasure_get(user=self.actor, pk=pk)).data)

    @operation(
        "Try a failed erasure again",
        "It goes on where it stopped.",
        responses={202: ErasureSerializer},
        errors=("not_found", _NOT_FAILED, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def retry(self, _request: Request, pk: UUID) -> Response:
        """Queue it again."""
        erasure_retry(actor=self.actor, erasure=erasure_get(user=self.actor, pk=pk))
        data = ErasureSerializer(erasure_get(user=self.actor, pk=pk)).data
        return Response(data, status=status.HTTP_202_ACCEPTED)


class PatientExportViewSet(ClinicViewSet[PatientExport]):
    """Files with all data of a patient."""

    queryset = PatientExport.objects.none()
    serializer_class = PatientExportSerializer

    @operation(
        "Read how far a file is",
        "`succeeded` with `expires_at`: it can be downloaded.",
        responses={200: PatientExportSerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one."""
        export = patient_export_get(user=self.actor, pk=pk)
        _require(self, Action.PATIENT_EXPORT)
        return Response(PatientExportSerializer(export).data)

    @operation(
        "Download a file",
        "Needs the password or a code again; each download is audited.",
        request=SignSerializer,
        responses=binary("application/zip", "ZIP, or a redirect to a link that lives 60 seconds"),
        errors=("invalid", "not_found", *_PROOF, _NOT_READY, "storage"),
    )
    @action(detail=True, methods=["post"])
    def file(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Confirm the credentials, then hand it out."""
        export = patient_export_get(user=self.actor, pk=pk)
        _require(self, Action.PATIENT_EXPORT)
        body = SignSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        _confirm(request, dict(body.validated_data))
        key = patient_export_hand_out(actor=self.actor, export=export)
        return object_response(
            key=key, content_type="application/zip", download_name=f"patient-{export.pk}.zip"
        )


def _require(view: ClinicViewSet[Any], wanted: Action) -> None:
    require(user=view.actor, action=wanted, clinic_id=view.membership.clinic_id)


def _confirm(request: Request, said: dict[str, Any]) -> None:
    """Take the proof out of what was said, and check it."""
    credentials_confirm(
        request=request, password=said.pop("password", None), otp=said.pop("otp", None)
    )
