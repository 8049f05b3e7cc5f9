"""Findings: read them with the doctors' decisions, and decide."""

from typing import Any
from uuid import UUID

from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from diagnosis.api.base import ClinicViewSet
from diagnosis.api.etags import finding_etag, finding_read
from diagnosis.api.schema import FINDING_IF_MATCH, Refusal, operation
from diagnosis.api.serializers.findings import (
    FindingAddSerializer,
    FindingChangeSerializer,
    FindingDetailSerializer,
    FindingRejectSerializer,
    ReviewedFindingSerializer,
)
from diagnosis.models import FindingReview, Study
from diagnosis.selectors import study_get
from diagnosis.selectors.findings import (
    finding_history,
    reviewed_finding_get,
    reviewed_findings_for,
    study_image_get,
)
from diagnosis.services.finding_reviews import (
    finding_accept,
    finding_add,
    finding_change,
    finding_reject,
    finding_undo,
)
from diagnosis.services.first_reads import require_first_read
from diagnosis.services.reading import study_open

_SIGNED = Refusal(409, "report_signed", "Open an amendment to change the findings; see `report`.")
_ADDED = Refusal(409, "finding_added", "A doctor marked this place; undo or change it instead.")
_NOTHING = Refusal(409, "nothing_to_undo", "Nothing was decided about this finding yet.")
_FIRST = Refusal(409, "first_read_missing", "Answer for yourself first; see `first-read`.")
_BOX = Refusal(422, "box_unusable", "The box has no area on the image.")
_DECIDED: tuple[str | Refusal, ...] = (
    "invalid",
    "not_found",
    _SIGNED,
    "finding_changed",
    "precondition_required",
)


class StudyFindingsViewSet(ClinicViewSet[Study]):
    """The findings of one study."""

    queryset = Study.objects.none()
    serializer_class = ReviewedFindingSerializer
    pagination_class = None  # one study has few

    @operation(
        "List a study's findings",
        "As they stand: the newest run's, confirmed ones of earlier runs, and added ones.",
        responses={200: ReviewedFindingSerializer(many=True)},
        errors=("not_found", _FIRST),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return all of them, in the order of the images."""
        study = study_get(user=self.actor, pk=pk)
        study_open(actor=self.actor, study=study, polled=True)
        require_first_read(actor=self.actor, study=study)
        found = reviewed_findings_for(study=study, user=self.actor)
        return Response(ReviewedFindingSerializer(found, many=True).data)

    @operation(
        "Add a finding",
        "A place that the AI has not shown.",
        request=FindingAddSerializer,
        responses={201: FindingDetailSerializer},
        errors=("invalid", "not_found", _SIGNED, _BOX, "idempotency_key_reused"),
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Store a doctor's own finding."""
        study = study_get(user=self.actor, pk=pk)
        body = FindingAddSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        image = study_image_get(user=self.actor, study=study, pk=values.pop("image"))
        review = finding_add(actor=self.actor, image=image, box=_box(values.pop("box")), **values)
        address = reverse("api:finding-detail", args=[review.uid], request=request)
        return answer(self, review.uid, status.HTTP_201_CREATED, Location=address)


class FindingViewSet(ClinicViewSet[FindingReview]):
    """One finding, and the decisions about it."""

    queryset = FindingReview.objects.none()
    serializer_class = FindingDetailSerializer

    @operation(
        "Read a finding",
        "With every decision about it. `ETag` is what a decision must send as `If-Match`.",
        responses={200: FindingDetailSerializer},
        errors=("not_found", _FIRST),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one finding."""
        found = reviewed_finding_get(user=self.actor, pk=pk)
        study = study_get(user=self.actor, pk=found.image.study_id)
        require_first_read(actor=self.actor, study=study)
        study_open(actor=self.actor, study=study, polled=True)
        return answer(self, pk)

    @operation(
        "Change a finding",
        "Moves its box or describes it, which accepts an AI finding. Fields that are left out "
        "stay as they are; the AI's own row is never changed.",
        request=FindingChangeSerializer(partial=True),
        parameters=(FINDING_IF_MATCH,),
        responses={200: FindingDetailSerializer},
        errors=(*_DECIDED, _BOX),
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Move or describe."""
        body = FindingChangeSerializer(data=request.data, partial=True)
        found = reviewed_finding_get(user=self.actor, pk=pk)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        box = _box(values.pop("box")) if "box" in values else None
        finding_change(
            actor=self.actor, found=found, revision=finding_read(request), box=box, **values
        )
        return answer(self, pk)

    @operation(
        "Accept a finding",
        "Where the AI has seen it.",
        parameters=(FINDING_IF_MATCH,),
        responses={200: FindingDetailSerializer},
        errors=(*_DECIDED, _ADDED, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: UUID) -> Response:
        """Agree with the AI."""
        found = reviewed_finding_get(user=self.actor, pk=pk)
        finding_accept(actor=self.actor, found=found, revision=finding_read(request))
        return answer(self, pk)

    @operation(
        "Reject a finding",
        "With the reason why it is no fracture.",
        request=FindingRejectSerializer,
        parameters=(FINDING_IF_MATCH,),
        responses={200: FindingDetailSerializer},
        errors=(*_DECIDED, _ADDED, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: UUID) -> Response:
        """Disagree with the AI."""
        found = reviewed_finding_get(user=self.actor, pk=pk)
        body = FindingRejectSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        finding_reject(
            actor=self.actor,
            found=found,
            revision=finding_read(request),
            **body.validated_data,
        )
        return answer(self, pk)

    @operation(
        "Take a decision back",
        "The AI's finding is a proposal again, an added one is gone; once more brings it back.",
        parameters=(FINDING_IF_MATCH,),
        responses={200: FindingDetailSerializer},
        errors=(*_DECIDED, _NOTHING, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, pk: UUID) -> Response:
        """Withdraw the newest decision."""
        found = reviewed_finding_get(user=self.actor, pk=pk)
        finding_undo(actor=self.actor, found=found, revision=finding_read(request))
        return answer(self, pk)


def answer(
    view: ClinicViewSet[Any], pk: UUID, code: int = status.HTTP_200_OK, **headers: str
) -> Response:
    """Return the finding as it is now, with its history."""
    found = reviewed_finding_get(user=view.actor, pk=pk)
    history = finding_history(user=view.actor, found=found)
    context = {**view.get_serializer_context(), "history": history}
    headers["ETag"] = finding_etag(found.revision)
    data = FindingDetailSerializer(found, context=context).data
    return Response(data, status=code, headers=headers)


def _box(sides: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = sides
    return x, y, width, height
