"""Reads of the patient page: who did what, and records that may be of the same person."""

import re
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from typing import Final
from uuid import UUID

from accounts.models import User
from diagnosis.models import Alert, Patient, Study, StudyImage, StudyShare
from diagnosis.models.search import search_matches, search_words
from diagnosis.selectors.first_reads import ai_shown

SIMILAR_NAME: Final = 0.85
_CANDIDATES: Final = 50


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done with a study; ``who`` is blank for another system."""

    at: datetime
    what: str
    who: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class LikelyDuplicate:
    """Another record that may be of the same person, and stable codes of why."""

    patient: Patient
    reasons: tuple[str, ...]


def study_steps(*, user: User, studies: list[Study]) -> dict[UUID, list[Step]]:
    """Return for each study who did what, oldest first; report versions are fetched with it."""
    steps: dict[UUID, list[Step]] = {study.pk: _report_steps(study) for study in studies}
    ids = list(steps)
    for study in studies:
        steps[study.pk].append(Step(study.created_at, "requested", _name(study.created_by)))
    images = StudyImage.objects.for_user(user).filter(study__in=ids).select_related("uploaded_by")
    uploads: dict[tuple[UUID, UUID | None], list[StudyImage]] = {}
    for image in images.order_by("created_at", "id"):
        uploads.setdefault((image.study_id, image.uploaded_by_id), []).append(image)
    for (study_id, _person), rows in uploads.items():
        step = Step(rows[0].created_at, "images", _name(rows[0].uploaded_by), len(rows))
        steps[study_id].append(step)
    alerts = Alert.objects.for_user(user).filter(
        ai_shown(user=user, study="study"), study__in=ids, acknowledged_at__isnull=False
    )
    for alert in alerts.select_related("acknowledged_by"):
        if alert.acknowledged_at:
            name = _name(alert.acknowledged_by)
            steps[alert.study_id].append(Step(alert.acknowledged_at, "acknowledged", name))
    shares = StudyShare.objects.for_user(user).filter(study__in=ids).select_related("created_by")
    for share in shares:
        steps[share.study_id].append(Step(share.created_at, "shared", _name(share.created_by)))
    for found in steps.values():
        found.sort(key=lambda step: step.at)
    return steps


def likely_duplicates(*, user: User, patient: Patient) -> list[LikelyDuplicate]:
    """Return records of the clinic that may be of the same person, the surest first.

    Candidates have the same birth date, or a record number of the same words; the names then
    decide (see ``duplicate_reasons``). A merged record has none.
    """
    if patient.merged_into_id:
        return []
    others = Patient.objects.for_user(user).filter(merged_into__isnull=True).exclude(pk=patient.pk)
    others = others.defer("search").order_by("-created_at", "id")
    candidates: dict[UUID, Patient] = {}
    if patient.birth_date:
        candidates |= {row.pk: row for row in others.filter(birth_date=patient.birth_date)[:500]}
    numbered = others.filter(pk__in=search_matches(Patient, patient.record_number))
    candidates |= {row.pk: row for row in numbered[:_CANDIDATES]}
    found = [
        LikelyDuplicate(row, reasons)
        for row in candidates.values()
        if (reasons := duplicate_reasons(patient, row))
    ]
    return sorted(found, key=lambda each: -len(each.reasons))[:5]


def duplicate_reasons(one: Patient, other: Patient) -> tuple[str, ...]:
    """Return why two records may be of one person; empty when too little speaks for it.

    Two of these must agree: birth date, name (accents, case and the order of its parts do not
    matter; small differences of spelling neither), record number (punctuation and leading zeros
    do not matter). Records of different known sex are of two people.
    """
    sexes = {one.sex, other.sex} - {Patient.Sex.UNKNOWN}
    if len(sexes) > 1:
        return ()
    reasons = []
    if one.birth_date and one.birth_date == other.birth_date:
        reasons.append("same_birth_date")
    elif one.birth_date and other.birth_date:
        return ()
    likeness = SequenceMatcher(None, _plain_name(one), _plain_name(other)).ratio()
    if likeness == 1.0:
        reasons.append("same_name")
    elif likeness >= SIMILAR_NAME:
        reasons.append("similar_name")
    if _plain_number(one.record_number) == _plain_number(other.record_number):
        reasons.append("same_number")
    return tuple(reasons) if len(reasons) > 1 else ()


def _report_steps(study: Study) -> list[Step]:
    report = getattr(study, "report", None)
    steps = []
    for version in report.versions.all() if report else ():
        if version.signed_at:
            steps.append(Step(version.signed_at, "signed", version.signer_name, version.number))
        else:
            steps.append(Step(version.updated_at, "draft", _name(version.author), version.number))
    return steps


def _name(person: User | None) -> str:
    return person.display_name if person else ""


def _plain_name(patient: Patient) -> str:
    return " ".join(search_words(patient.family_name, patient.given_name))


def _plain_number(number: str) -> str:
    return re.sub(r"[\W_]", "", number).casefold().lstrip("0")
