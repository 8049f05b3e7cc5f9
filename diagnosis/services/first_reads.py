"""Answers before the AI's result is shown, and what became of them."""

import math
from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import (
    FirstRead,
    FractureAnswer,
    MindChange,
    ReportVersion,
    Study,
    StudyImage,
)
from diagnosis.selectors.findings import CONFIRMED, PROPOSED
from diagnosis.selectors.first_reads import ai_is_hidden
from diagnosis.services.violations import violated_constraint
from fracture_site.common.errors import ConflictError, RefusedInputError

MAX_PLACES = 50


@transaction.atomic
def first_read_give(
    *, actor: User, study: Study, answer: str, places: Sequence[Any] = ()
) -> FirstRead:
    """Store a reader's own answer, once; afterwards the AI's result is shown to them.

    ``places`` are boxes: ``{"image", "x", "y", "width", "height"}`` in pixels of the image.

    Raises:
        RefusedInputError: ``answer_missing``, or ``places_unusable``.
        ConflictError: ``first_read_given``; it cannot be changed.
    """
    require(user=actor, action=Action.FINDING_REVIEW, clinic_id=study.clinic_id)
    if answer not in FractureAnswer.values:
        choose = _("Choose an answer.")
        raise RefusedInputError("answer_missing", choose, fields={"answer": choose})
    try:
        with transaction.atomic():
            read = FirstRead.objects.create(
                clinic_id=study.clinic_id,
                study=study,
                reader=actor,
                answer=answer,
                places=_checked(study, places),
            )
    except IntegrityError as error:
        if violated_constraint(error) != "first_read_once":
            raise
        raise ConflictError(
            "first_read_given", _("You have answered already; the first answer stays.")
        ) from error
    audit_record(
        actor=actor,
        action="first_read.give",
        clinic_id=study.clinic_id,
        target=read,
        patient_id=study.patient_id,
        study=str(study.pk),
        answer=answer,
    )
    return read


def require_first_read(*, actor: User, study: Study) -> None:
    """Return silently when the AI's result may be shown to ``actor``.

    Raises:
        ConflictError: ``first_read_missing``.
    """
    if ai_is_hidden(user=actor, study=study):
        raise ConflictError(
            "first_read_missing",
            _("Answer for yourself first: is there a fracture? Then the AI's result is shown."),
        )


def mind_changes_note(*, version: ReportVersion, study: Study) -> None:
    """Put the signer's final answer beside the first one; runs within the signature."""
    first = FirstRead.objects.filter(study=study, reader=version.signed_by).first()
    if first is None:
        return
    final = report_answer(version)
    MindChange.objects.create(
        clinic_id=version.clinic_id,
        first=first,
        version_number=version.number,
        final=final,
        changed=final != first.answer,
    )
    audit_record(
        actor=version.signed_by,
        action="first_read.final",
        clinic_id=version.clinic_id,
        target=first,
        patient_id=study.patient_id,
        first=first.answer,
        final=final,
    )


def report_answer(version: ReportVersion) -> str:
    """Return what a signed version says by its findings: confirmed, none left, or undecided."""
    states = {entry["state"] for entry in version.reviewed_findings or []}
    if states & set(CONFIRMED):
        return FractureAnswer.YES
    return FractureAnswer.UNSURE if PROPOSED in states else FractureAnswer.NO


def _checked(study: Study, places: Sequence[Any]) -> list[dict[str, Any]]:
    sizes = {str(i.pk): i for i in StudyImage.objects.filter(study=study).only("width", "height")}
    kept = []
    for place in places:
        try:
            image = sizes[str(place["image"])]
            x, y, width, height = (float(place[n]) for n in ("x", "y", "width", "height"))
        except (KeyError, TypeError, ValueError) as error:
            raise _unusable() from error
        fits = all(map(math.isfinite, (x, y, width, height))) and width > 0 and height > 0
        if not fits or x >= image.width or y >= image.height or x + width <= 0 or y + height <= 0:
            raise _unusable()
        box = {"x": x, "y": y, "width": width, "height": height}
        kept.append({"image": str(image.pk), **{n: round(v, 1) for n, v in box.items()}})
    if len(kept) > MAX_PLACES:
        raise _unusable()
    return kept


def _unusable() -> RefusedInputError:
    return RefusedInputError("places_unusable", _("Mark the places on the images again."))
