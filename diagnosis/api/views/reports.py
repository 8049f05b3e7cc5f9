"""Reports: draft, sign, amend, print."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.reauthentication import credentials_confirm
from diagnosis.api.base import ClinicViewSet
from diagnosis.api.etags import draft_matched, draft_read, version_etag
from diagnosis.api.filters import ReportFilter
from diagnosis.api.schema import IF_MATCH, IF_MATCH_OPTIONAL, Refusal, binary, operation
from diagnosis.api.serializers.reports import (
    AmendSerializer,
    DisagreeSerializer,
    FinishSerializer,
    ReportCreateSerializer,
    ReportSerializer,
    ReportSummarySerializer,
    ReportUpdateSerializer,
    SignSerializer,
    VersionQuerySerializer,
    WithdrawSerializer,
)
from diagnosis.models import Report, ReportVersion
from diagnosis.selectors import report_get, report_list, study_get
from diagnosis.services.reading import report_open
from diagnosis.services.reports import (
    report_amend,
    report_draft_update,
    report_pdf,
    report_start,
)
from diagnosis.services.second_readings import (
    report_finish,
    second_reading_agree,
    second_reading_disagree,
)
from diagnosis.services.withdrawals import report_withdraw

_SIGNED = Refusal(409, "already_signed", "The report is signed; amend it instead.")
_NOT_SIGNED = Refusal(409, "not_signed", "There is no such signed version.")
_NOT_AWAITING = Refusal(
    409, "not_awaiting", "No second reader is asked for; or `same_reader`: it is the first one."
)
_WITHDRAWN = Refusal(409, "already_withdrawn", "It is withdrawn already.")
_DRAFT_EXISTS = Refusal(409, "draft_exists", "An amendment is already being written.")
_EXISTS = Refusal(409, "report_exists", "The study has a report and texts were sent; see `report`.")
_STUDY_CHANGED = Refusal(
    412,
    "study_changed",
    "Patient, images or result changed since the draft was written; read it again and PATCH it.",
)
_EMPTY = Refusal(422, "report_empty", "Findings or impression are needed.")
_NOT_CONFIRMED = Refusal(403, "reauthentication_failed", "The password or code is not right.")
_NOT_GIVEN = Refusal(403, "reauthentication_required", "Neither password nor code was sent.")
_TOO_MANY = Refusal(429, "too_many_attempts", "Too many wrong attempts; wait five minutes.")


class ReportViewSet(mixins.ListModelMixin, ClinicViewSet[Report]):
    """The clinic's reports; each is shown by its newest version."""

    queryset = Report.objects.none()
    serializer_class = ReportSerializer  # type: ignore[assignment]  # of the newest version
    filterset_class = ReportFilter

    def get_queryset(self) -> QuerySet[Report]:
        """Rows of the caller's clinic."""
        return report_list(user=self.actor)

    @operation(
        "List reports",
        "Newest first, without the texts; `study` finds the report of one study.",
        responses={200: ReportSummarySerializer(many=True)},
        errors=("invalid",),
    )
    def list(self, _request: Request) -> Response:
        """Return a page."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        versions = [_newest(report) for report in page or []]
        self.note_list("report", (report.study.patient_id for report in page or []))
        return self.get_paginated_response(ReportSummarySerializer(versions, many=True).data)

    @operation(
        "Start a report",
        "Prefilled from the findings. A study has one report: when it exists, it is returned with "
        "200, or, when texts were sent along, refused with 409.",
        request=ReportCreateSerializer,
        responses={201: ReportSerializer, 200: ReportSerializer},
        errors=("invalid", "not_found", _EXISTS, "idempotency_key_reused"),
    )
    def create(self, request: Request) -> Response:
        """Create the study's report with a draft, or return the one there is."""
        body = ReportCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        texts = dict(body.validated_data)
        study = study_get(user=self.actor, pk=texts.pop("study"))
        report, created = report_start(actor=self.actor, study=study, texts=texts)
        address = reverse("api:report-detail", args=[report.pk], request=request)
        code = status.HTTP_201_CREATED if created else status.HTTP_200_OK
        return self._answer(report.pk, code, Location=address)

    @operation(
        "Read a report",
        "The newest version in full. `ETag` is what a change must send as `If-Match`.",
        responses={200: ReportSerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one report."""
        report_open(actor=self.actor, report=report_get(user=self.actor, pk=pk))
        return self._answer(pk)

    @operation(
        "Write the draft",
        "Texts that are left out stay as they are.",
        request=ReportUpdateSerializer(partial=True),
        parameters=(IF_MATCH,),
        responses={200: ReportSerializer},
        errors=("invalid", "not_found", _SIGNED, "draft_changed", "precondition_required"),
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Save the draft that the caller has read."""
        report = report_get(user=self.actor, pk=pk)
        body = ReportUpdateSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        revision = draft_read(request, _newest(report))
        report_draft_update(
            actor=self.actor, report=report, revision=revision, **body.validated_data
        )
        return self._answer(pk)

    @operation(
        "Sign the draft",
        "With the signer's password or one-time code. A signed version never changes. Where the "
        "clinic's rule or `second_reader` asks for it, the answer is still a draft: it waits for "
        "a second reader.",
        request=FinishSerializer,
        parameters=(IF_MATCH_OPTIONAL,),
        responses={200: ReportSerializer},
        errors=(
            "invalid",
            _NOT_GIVEN,
            _NOT_CONFIRMED,
            "not_found",
            _SIGNED,
            "idempotency_key_reused",
            "draft_changed",
            _STUDY_CHANGED,
            _EMPTY,
            _TOO_MANY,
            "storage",
        ),
    )
    @action(detail=True, methods=["post"])
    def sign(self, request: Request, pk: UUID) -> Response:
        """Confirm the credentials, then sign."""
        report = report_get(user=self.actor, pk=pk)
        body = FinishSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        proof = dict(body.validated_data)
        asked = proof.pop("second_reader", False)
        revision = draft_matched(request, _newest(report))
        credentials_confirm(request=request, **proof)
        report_finish(actor=self.actor, report=report, revision=revision, second_reader=asked)
        return self._answer(pk)

    @operation(
        "Agree as second reader",
        "The report is final and carries both names.",
        request=SignSerializer,
        responses={200: ReportSerializer},
        errors=(
            "invalid",
            _NOT_GIVEN,
            _NOT_CONFIRMED,
            "not_found",
            _NOT_AWAITING,
            "idempotency_key_reused",
            _STUDY_CHANGED,
            _TOO_MANY,
            "storage",
        ),
    )
    @action(detail=True, methods=["post"])
    def agree(self, request: Request, pk: UUID) -> Response:
        """Confirm the credentials, then sign second."""
        report = report_get(user=self.actor, pk=pk)
        body = SignSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        credentials_confirm(request=request, **body.validated_data)
        second_reading_agree(actor=self.actor, report=report)
        return self._answer(pk)

    @operation(
        "Disagree as second reader",
        "The draft goes back to its writer, and a discrepancy is opened.",
        request=DisagreeSerializer,
        responses={200: ReportSerializer},
        errors=("invalid", "not_found", _NOT_AWAITING, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def disagree(self, request: Request, pk: UUID) -> Response:
        """Say what is seen otherwise."""
        report = report_get(user=self.actor, pk=pk)
        body = DisagreeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        second_reading_disagree(
            actor=self.actor, report=report, remark=body.validated_data["remark"]
        )
        return self._answer(pk)

    @operation(
        "Withdraw a signed report",
        "It stays readable and is marked everywhere; an amendment replaces it.",
        request=WithdrawSerializer,
        responses={200: ReportSerializer},
        errors=(
            "invalid",
            _NOT_GIVEN,
            _NOT_CONFIRMED,
            "not_found",
            _NOT_SIGNED,
            _WITHDRAWN,
            "idempotency_key_reused",
            _TOO_MANY,
        ),
    )
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: UUID) -> Response:
        """Confirm the credentials, then withdraw."""
        report = report_get(user=self.actor, pk=pk)
        body = WithdrawSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        proof = dict(body.validated_data)
        reason = proof.pop("reason")
        credentials_confirm(request=request, **proof)
        report_withdraw(actor=self.actor, report=report, reason=reason)
        return self._answer(pk)

    @operation(
        "Amend a signed report",
        "Opens a new draft on top of the signed version, which stays as it is.",
        request=AmendSerializer,
        responses={200: ReportSerializer},
        errors=("invalid", "not_found", _NOT_SIGNED, _DRAFT_EXISTS, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def amend(self, request: Request, pk: UUID) -> Response:
        """Open the next version."""
        report = report_get(user=self.actor, pk=pk)
        body = AmendSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        report_amend(actor=self.actor, report=report, reason=body.validated_data["reason"])
        return self._answer(pk)

    @operation(
        "Download a signed report",
        "PDF/A as it was signed. Every download is audited.",
        parameters=(VersionQuerySerializer,),
        responses=binary("application/pdf", "PDF/A"),
        errors=("invalid", "not_found", _NOT_SIGNED, "storage"),
    )
    @action(detail=True)
    def pdf(self, request: Request, pk: UUID) -> HttpResponse:
        """Return the PDF of one signed version."""
        report = report_get(user=self.actor, pk=pk)
        query = VersionQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        number = query.validated_data.get("version")
        version, pdf = report_pdf(actor=self.actor, report=report, number=number)
        return pdf_response(pdf, name=f"report-{report.pk}-{version.number}.pdf")

    def _answer(self, pk: UUID, code: int = status.HTTP_200_OK, **headers: str) -> Response:
        version = _newest(report_get(user=self.actor, pk=pk))
        headers["ETag"] = version_etag(version)
        return Response(ReportSerializer(version).data, status=code, headers=headers)


def pdf_response(pdf: bytes, *, name: str) -> HttpResponse:
    """Return a PDF to save; no cache may keep it."""
    return HttpResponse(
        pdf,
        content_type="application/pdf",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        },
    )


def _newest(report: Report) -> ReportVersion:
    return list(report.versions.all())[-1]
