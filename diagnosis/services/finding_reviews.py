"""What a doctor decides about findings: accept, reject, move, add, describe, take back.

Each decision is a new row of ``FindingReview``; the AI's finding is never changed. A caller
names the ``revision`` that it has seen, so that of two doctors one is told. A signed report
closes the study's findings until an amendment is open.
"""

import math
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import FindingReview, Report, ReportVersion, Study, StudyImage
from diagnosis.models.finding_reviews import DESCRIPTION
from diagnosis.models.vocabulary import RejectReason
from diagnosis.selectors.findings import ReviewedFinding
from diagnosis.services.first_reads import require_first_read
from diagnosis.services.report_basis import report_basis
from diagnosis.services.report_locks import refuse_awaiting
from fracture_site.common.errors import ConflictError, PreconditionError, RefusedInputError

Box = tuple[float, float, float, float]
Decision = FindingReview.Decision
MIN_SIDE = 2.0  # pixels; a smaller box is a slip of the hand


def finding_accept(*, actor: User, found: ReviewedFinding, revision: int) -> FindingReview:
    """Agree with the AI's finding where it is.

    Raises:
        PreconditionError: ``finding_changed`` since ``revision``.
        ConflictError: ``report_signed``, or ``finding_added``: it is a doctor's own.
    """
    _require_ai(actor, found)
    return _decide(actor, found, revision, Decision.ACCEPTED, box=_box_of(found.finding))


def finding_reject(
    *, actor: User, found: ReviewedFinding, revision: int, reason: str, text: str = ""
) -> FindingReview:
    """Say why the AI's finding is no fracture.

    Raises:
        RefusedInputError: ``reject_reason_missing``.
        PreconditionError, ConflictError: as ``finding_accept``.
    """
    _require_ai(actor, found)
    if reason not in RejectReason.values:
        choose = _("Say why this is no fracture.")
        raise RefusedInputError("reject_reason_missing", choose, fields={"reason": choose})
    return _decide(
        actor,
        found,
        revision,
        Decision.REJECTED,
        box=_box_of(found.finding),
        reject_reason=reason,
        reject_text=text.strip()[:500],
        **dict.fromkeys(DESCRIPTION, ""),
    )


def finding_change(
    *,
    actor: User,
    found: ReviewedFinding,
    revision: int,
    box: Box | None = None,
    **description: str,
) -> FindingReview:
    """Move the box (pixels of the image), or say type, displacement, severity, bone, side.

    A proposed or rejected finding is accepted by that; what is not given stays.

    Raises:
        RefusedInputError: ``box_unusable`` or ``description_unknown``.
        PreconditionError, ConflictError: as ``finding_accept``.
    """
    if found.finding is None:
        decision: str = Decision.ADDED
    elif box is not None:
        decision = Decision.MOVED
    else:
        decision = found.state if found.is_confirmed else Decision.ACCEPTED
    if box is not None:
        place = _clipped(box, found.image)
    else:
        place = found.box if found.is_confirmed else _box_of(found.finding or found.review)
    return _decide(actor, found, revision, decision, box=place, **_described(description))


@transaction.atomic
def finding_add(*, actor: User, image: StudyImage, box: Box, **description: str) -> FindingReview:
    """Mark a place that the AI has not shown.

    Raises:
        RefusedInputError: ``box_unusable`` or ``description_unknown``.
        ConflictError: ``report_signed``.
    """
    values = {**dict.fromkeys(DESCRIPTION, ""), **_described(description)}
    return _record(
        actor,
        image,
        0,
        {
            "uid": uuid4(),
            "finding": None,
            "decision": Decision.ADDED,
            **_columns(_clipped(box, image)),
            **values,
        },
    )


def finding_undo(*, actor: User, found: ReviewedFinding, revision: int) -> FindingReview:
    """Take the newest decision back; a second time brings it again.

    Raises:
        ConflictError: ``nothing_to_undo``, or ``report_signed``.
        PreconditionError: ``finding_changed``.
    """
    require(user=actor, action=Action.FINDING_REVIEW, clinic_id=found.image.clinic_id)
    last = found.review
    if last is None:
        raise ConflictError("nothing_to_undo", _("Nothing was decided about this finding yet."))
    if last.decision != Decision.WITHDRAWN:
        return _decide(actor, found, revision, Decision.WITHDRAWN, box=_box_of(last))
    before = FindingReview.objects.get(uid=last.uid, number=last.number - 1)
    return _decide(
        actor,
        found,
        revision,
        before.decision,
        box=_box_of(before),
        reject_reason=before.reject_reason,
        reject_text=before.reject_text,
        **{name: getattr(before, name) for name in DESCRIPTION},
    )


@transaction.atomic
def _decide(
    actor: User, found: ReviewedFinding, revision: int, decision: str, *, box: Box, **changes: str
) -> FindingReview:
    """Append a decision; what a confirmed finding was described by stays, but for ``changes``."""
    if found.revision != revision:
        raise _changed(found.revision)
    description = {
        name: changes.pop(name, getattr(found.review, name) if found.is_confirmed else "")
        for name in DESCRIPTION
    }
    return _record(
        actor,
        found.image,
        revision,
        {
            "uid": found.uid,
            "finding": found.finding,
            "decision": decision,
            **_columns(box),
            **description,
            **changes,
        },
    )


def _record(actor: User, image: StudyImage, seen: int, values: dict[str, Any]) -> FindingReview:
    require(user=actor, action=Action.FINDING_REVIEW, clinic_id=image.clinic_id)
    study = _open_study(image)
    require_first_read(actor=actor, study=study)
    newest = FindingReview.objects.filter(uid=values["uid"]).order_by("-number").first()
    number = newest.number if newest else 0
    if number != seen:
        raise _changed(number)
    basis = report_basis(study)
    review = FindingReview.objects.create(
        clinic_id=image.clinic_id, image=image, number=number + 1, author=actor, **values
    )
    _carry_draft_on(actor, study, basis)
    audit_record(
        actor=actor,
        action=f"finding.{review.decision}",
        clinic_id=image.clinic_id,
        target=review,
        patient_id=study.patient_id,
        study=str(study.pk),
        finding=str(review.uid),
    )
    return review


def _changed(revision: int) -> PreconditionError:
    return PreconditionError(
        "finding_changed",
        _("Somebody decided about this finding in between. Look at it again."),
        extra={"revision": revision},
    )


def _open_study(image: StudyImage) -> Study:
    """Return the image's study, locked against signatures; the report first, as everywhere."""
    report = Report.objects.select_for_update(of=("self",)).filter(study__images=image).first()
    draft = report.versions.filter(status=ReportVersion.Status.DRAFT).first() if report else None
    if draft:
        refuse_awaiting(draft)
    elif report:
        raise ConflictError(
            "report_signed",
            _("The report is signed. Open an amendment to change its findings."),
            extra={"report": str(report.pk)},
        )
    study_id = StudyImage.objects.values_list("study_id", flat=True).get(pk=image.pk)
    Study.objects.select_for_update(no_key=True).only("pk").get(pk=study_id)
    return Study.objects.select_related("patient").get(pk=study_id)


def _carry_draft_on(actor: User, study: Study, basis: str) -> None:
    """Let the draft count as read by its own writer, who made this decision."""
    drafts = ReportVersion.objects.filter(
        report__study=study, status=ReportVersion.Status.DRAFT, author=actor, basis=basis
    )
    drafts.update(basis=report_basis(study))


def _require_ai(actor: User, found: ReviewedFinding) -> None:
    require(user=actor, action=Action.FINDING_REVIEW, clinic_id=found.image.clinic_id)
    if found.finding is None:
        raise ConflictError(
            "finding_added",
            _("A doctor marked this place. Take it back, or change it, instead."),
        )


def _described(description: dict[str, str]) -> dict[str, str]:
    """Return the given words, each one of its list or blank."""
    for name, value in description.items():
        if name not in DESCRIPTION or value not in _words(name):
            unknown = _("Choose one of the listed values.")
            raise RefusedInputError("description_unknown", unknown, fields={name: unknown})
    return description


def _words(name: str) -> set[str]:
    choices = getattr(FindingReview._meta.get_field(name), "choices", None)
    return {"", *dict(choices or ())}


def _clipped(box: Box, image: StudyImage) -> Box:
    """Return the part of the box that lies on the image."""
    x, y, width, height = box
    if all(map(math.isfinite, box)):
        left, top = max(x, 0.0), max(y, 0.0)
        right, bottom = min(x + width, float(image.width)), min(y + height, float(image.height))
        if right - left >= MIN_SIDE and bottom - top >= MIN_SIDE:
            return left, top, right - left, bottom - top
    unusable = _("Draw a box on the image.")
    raise RefusedInputError("box_unusable", unusable, fields={"box": unusable})


def _box_of(row: Any) -> Box:
    return row.x, row.y, row.width, row.height


def _columns(box: Box) -> dict[str, float]:
    return dict(zip(("x", "y", "width", "height"), box, strict=True))
