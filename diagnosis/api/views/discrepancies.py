"""Answers that differ, recalls of patients, preliminary answers."""

from uuid import UUID

from django.db.models import QuerySet
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.base import ClinicViewSet
from diagnosis.api.filters import DiscrepancyFilter, RecallFilter
from diagnosis.api.schema import Refusal, operation
from diagnosis.api.serializers.discrepancies import (
    DiscrepancyRateSerializer,
    DiscrepancyResolveSerializer,
    DiscrepancySerializer,
    PreliminaryReadSerializer,
    RecallCloseSerializer,
    RecallContactAddSerializer,
    RecallSerializer,
)
from diagnosis.models import Discrepancy, PreliminaryRead, RecallTask
from diagnosis.selectors import study_get
from diagnosis.selectors.discrepancies import (
    discrepancies_for,
    discrepancy_get,
    preliminary_reads,
    recall_get,
    recalls_for,
)
from diagnosis.services.discrepancies import (
    discrepancy_rate,
    discrepancy_resolve,
    preliminary_read_give,
    recall_close,
    recall_contact_add,
)
from diagnosis.services.first_reads import require_first_read
from diagnosis.services.reading import study_open

_RESOLVED = Refusal(409, "already_resolved", "Somebody said already what came of it.")
_SEVERITY = Refusal(422, "severity_unknown", "`minor` or `major`; nothing becomes unrated again.")
_RECALL_OPEN = Refusal(409, "recall_open", "The patient is being recalled; close that first.")
_NOT_RATED = Refusal(409, "not_rated", "Say first whether it matters for the patient.")
_CLOSED = Refusal(409, "recall_closed", "It is closed already.")
_NO_CONTACT = Refusal(409, "no_contact", "Note first how the patient was contacted.")
_CONTACT = Refusal(422, "contact_unusable", "The time is in the future.")
_SIGNED = Refusal(409, "already_signed", "The final report is there already.")
_FIRST = Refusal(409, "first_read_missing", "Answer for yourself first; see `first-read`.")


class DiscrepancyViewSet(mixins.ListModelMixin, ClinicViewSet[Discrepancy]):
    """The clinic's answers that differ."""

    queryset = Discrepancy.objects.none()
    serializer_class = DiscrepancySerializer
    filterset_class = DiscrepancyFilter

    def get_queryset(self) -> QuerySet[Discrepancy]:
        """Rows of the caller's clinic."""
        return discrepancies_for(user=self.actor, open_only=False)

    @operation(
        "List discrepancies",
        "Newest first; `open=true` for those that wait for a resolution.",
        responses={200: DiscrepancySerializer(many=True)},
        errors=("invalid",),
    )
    def list(self, request: Request) -> Response:
        """Return a page."""
        response = super().list(request)
        self.note_list("discrepancy", (row["patient"] for row in response.data["results"]))
        return response

    @operation(
        "Read a discrepancy",
        "Which two answers differ, and what was made of it.",
        responses={200: DiscrepancySerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one."""
        row = discrepancy_get(user=self.actor, pk=pk)
        study_open(actor=self.actor, study=row.study, polled=True)
        return self._answer(pk)

    @operation(
        "Rate a discrepancy",
        "Says whether it matters for the patient; `major` opens the patient's recall.",
        request=DiscrepancyRateSerializer,
        responses={200: DiscrepancySerializer},
        errors=(
            *("invalid", "not_found", _SEVERITY),
            *(_RESOLVED, _RECALL_OPEN, "idempotency_key_reused"),
        ),
    )
    @action(detail=True, methods=["post"])
    def rate(self, request: Request, pk: UUID) -> Response:
        """Say how much it matters."""
        row = discrepancy_get(user=self.actor, pk=pk)
        body = DiscrepancyRateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        discrepancy_rate(actor=self.actor, discrepancy=row, **body.validated_data)
        return self._answer(pk)

    @operation(
        "Resolve a discrepancy",
        "Says what came of it, after it was rated and the recall, if any, is closed.",
        request=DiscrepancyResolveSerializer,
        responses={200: DiscrepancySerializer},
        errors=(
            *("invalid", "not_found"),
            *(_RESOLVED, _NOT_RATED, _RECALL_OPEN, "idempotency_key_reused"),
        ),
    )
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: UUID) -> Response:
        """Say what came of it."""
        row = discrepancy_get(user=self.actor, pk=pk)
        body = DiscrepancyResolveSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        discrepancy_resolve(actor=self.actor, discrepancy=row, **body.validated_data)
        return self._answer(pk)

    def _answer(self, pk: UUID) -> Response:
        row = discrepancy_get(user=self.actor, pk=pk)
        return Response(DiscrepancySerializer(row).data)


class RecallViewSet(mixins.ListModelMixin, ClinicViewSet[RecallTask]):
    """Patients who have to be told."""

    queryset = RecallTask.objects.none()
    serializer_class = RecallSerializer
    filterset_class = RecallFilter

    def get_queryset(self) -> QuerySet[RecallTask]:
        """Rows of the caller's clinic."""
        return recalls_for(user=self.actor)

    @operation(
        "List recalls of patients",
        "Newest first; `open=true` for those that nobody has closed.",
        responses={200: RecallSerializer(many=True)},
        errors=("invalid",),
    )
    def list(self, request: Request) -> Response:
        """Return a page."""
        response = super().list(request)
        self.note_list("recall", (row["patient"] for row in response.data["results"]))
        return response

    @operation(
        "Read a recall",
        "With every attempt to reach the patient.",
        responses={200: RecallSerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one."""
        row = recall_get(user=self.actor, pk=pk)
        study_open(actor=self.actor, study=row.discrepancy.study, polled=True)
        return self._answer(pk)

    @operation(
        "Note a contact",
        "One attempt to reach the patient; no number or address is stored.",
        request=RecallContactAddSerializer,
        responses={200: RecallSerializer},
        errors=("invalid", "not_found", _CLOSED, _CONTACT, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def contacts(self, request: Request, pk: UUID) -> Response:
        """Note one attempt."""
        task = recall_get(user=self.actor, pk=pk)
        body = RecallContactAddSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        recall_contact_add(actor=self.actor, task=task, **body.validated_data)
        return self._answer(pk)

    @operation(
        "Close a recall",
        "Says how it ended; somebody has tried to reach the patient before.",
        request=RecallCloseSerializer,
        responses={200: RecallSerializer},
        errors=("invalid", "not_found", _CLOSED, _NO_CONTACT, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: UUID) -> Response:
        """Say how it ended."""
        task = recall_get(user=self.actor, pk=pk)
        body = RecallCloseSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        recall_close(actor=self.actor, task=task, **body.validated_data)
        return self._answer(pk)

    def _answer(self, pk: UUID) -> Response:
        return Response(RecallSerializer(recall_get(user=self.actor, pk=pk)).data)


class PreliminaryReadViewSet(ClinicViewSet[PreliminaryRead]):
    """Quick answers of treating doctors to one study."""

    queryset = PreliminaryRead.objects.none()
    serializer_class = PreliminaryReadSerializer
    pagination_class = None  # one study has few

    @operation(
        "List preliminary answers",
        "Of one study, newest first. They are not the report, which prints them as such.",
        responses={200: PreliminaryReadSerializer(many=True)},
        errors=("not_found", _FIRST),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return all of them."""
        study = study_get(user=self.actor, pk=pk)
        study_open(actor=self.actor, study=study, polled=True)
        require_first_read(actor=self.actor, study=study)
        rows = preliminary_reads(user=self.actor, study=study)
        return Response(PreliminaryReadSerializer(rows, many=True).data)

    @operation(
        "Give a preliminary answer",
        "Counts until the final report; one that differs from it opens a discrepancy.",
        request=PreliminaryReadSerializer,
        responses={201: PreliminaryReadSerializer},
        errors=("invalid", "not_found", _SIGNED, _FIRST, "idempotency_key_reused"),
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Store the answer."""
        study = study_get(user=self.actor, pk=pk)
        body = PreliminaryReadSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        read = preliminary_read_give(actor=self.actor, study=study, **body.validated_data)
        return Response(PreliminaryReadSerializer(read).data, status=status.HTTP_201_CREATED)
