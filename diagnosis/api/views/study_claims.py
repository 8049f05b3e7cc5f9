"""Claiming, releasing and assigning a study."""

from typing import TYPE_CHECKING
from uuid import UUID

from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.base import ClinicViewSet
from diagnosis.api.schema import Refusal, operation
from diagnosis.api.serializers.studies import StudySerializer
from diagnosis.api.serializers.worklist import (
    AssignRequestSerializer,
    ClaimRequestSerializer,
)
from diagnosis.models import Study
from diagnosis.selectors import study_get
from diagnosis.services.claims import (
    claim_release,
    claim_take,
    claim_take_over,
    studies_assign,
)

if TYPE_CHECKING:

    class _Base(ClinicViewSet[Study]):
        """The view set of studies, which this is a part of."""

        def _answer(self, pk: UUID) -> Response: ...

else:
    _Base = object

_CLAIMED = Refusal(409, "study_claimed", "`doctor` names who is reading it.")
_UNKNOWN = Refusal(422, "doctor_unknown", "Not an active doctor of this clinic.")


class ClaimActions(_Base):
    """What a study's address offers about its readers."""

    @operation(
        "Claim a study",
        "Says that the caller reads it now; repeat it at least every few minutes while reading. "
        "A colleague's claim is taken over by naming the colleague.",
        request=ClaimRequestSerializer,
        responses={200: StudySerializer},
        errors=("invalid", "not_found", _CLAIMED, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def claim(self, request: Request, pk: UUID) -> Response:
        """Claim for the caller."""
        study = study_get(user=self.actor, pk=pk)
        body = ClaimRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        holder = body.validated_data.get("take_over_from")
        if holder:
            claim_take_over(actor=self.actor, study=study, holder_id=holder)
        else:
            claim_take(actor=self.actor, study=study)
        return self._answer(pk)

    @operation(
        "Release a study",
        "Ends the caller's claim; without one nothing happens.",
        responses={200: StudySerializer},
        errors=("not_found", "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def release(self, _request: Request, pk: UUID) -> Response:
        """Release what the caller holds."""
        claim_release(actor=self.actor, study=study_get(user=self.actor, pk=pk))
        return self._answer(pk)

    @operation(
        "Assign a study",
        "Says who shall read it; it appears on that doctor's list.",
        request=AssignRequestSerializer,
        responses={200: StudySerializer},
        errors=("invalid", "not_found", _UNKNOWN, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, pk: UUID) -> Response:
        """Assign to one doctor."""
        study = study_get(user=self.actor, pk=pk)
        body = AssignRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        studies_assign(
            actor=self.actor,
            clinic_id=study.clinic_id,
            study_ids=[study.pk],
            doctor_id=body.validated_data["doctor"],
        )
        return self._answer(pk)
