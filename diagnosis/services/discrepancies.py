"""Answers that differ, what was made of them, and patients who have to be told."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import (
    Discrepancy,
    FractureAnswer,
    PreliminaryRead,
    RecallContact,
    RecallTask,
    ReportVersion,
    Study,
    Verdict,
)
from diagnosis.services.first_reads import report_answer, require_first_read
from fracture_site.common.errors import ConflictError, RefusedInputError

_YES, _NO = FractureAnswer.YES, FractureAnswer.NO
# A suspicion is a question; whichever way the report answers it, nobody was contradicted.
_AI_SAID = {Verdict.DEFINITE: _YES, Verdict.NEGATIVE: _NO}


@transaction.atomic
def preliminary_read_give(
    *, actor: User, study: Study, answer: str, note: str = ""
) -> PreliminaryRead:
    """Store the treating doctor's quick answer; it counts until the final report.

    Raises:
        RefusedInputError: ``answer_missing``.
        ConflictError: ``already_signed``, or ``first_read_missing``.
    """
    require(user=actor, action=Action.FINDING_REVIEW, clinic_id=study.clinic_id)
    require_first_read(actor=actor, study=study)
    if answer not in FractureAnswer.values:
        choose = _("Choose an answer.")
        raise RefusedInputError("answer_missing", choose, fields={"answer": choose})
    locked = Study.objects.select_for_update(no_key=True).only("status").get(pk=study.pk)
    if locked.status == Study.Status.REPORTED:
        raise ConflictError("already_signed", _("The final report is there already."))
    read = PreliminaryRead.objects.create(
        clinic_id=study.clinic_id,
        study=study,
        author=actor,
        answer=answer,
        note=note.strip()[:1000],
    )
    _audit(actor, "preliminary.give", read, study, answer=answer)
    return read


def discrepancies_note(*, version: ReportVersion, study: Study) -> list[Discrepancy]:
    """Compare a version that is being signed with the AI and with the preliminary answer."""
    final = report_answer(version)
    found = []
    verdict = (study.result or {}).get("verdict", "")
    if verdict in _AI_SAID and {_AI_SAID[verdict], final} == {_YES, _NO}:
        found.append((Discrepancy.Kind.AI_REPORT, verdict))
    early = PreliminaryRead.objects.filter(study=study).order_by("-created_at").first()
    if early and {early.answer, final} == {_YES, _NO}:
        found.append((Discrepancy.Kind.PRELIMINARY, early.answer))
    rows = [
        Discrepancy.objects.create(
            clinic_id=version.clinic_id,
            study=study,
            kind=kind,
            version_number=version.number,
            first=first,
            second=final,
        )
        for kind, first in found
    ]
    for row in rows:
        _audit(version.signed_by, "discrepancy.open", row, study, kind=row.kind)
    return rows


@transaction.atomic
def discrepancy_rate(*, actor: User, discrepancy: Discrepancy, severity: str) -> Discrepancy:
    """Say how much it matters; what matters for the patient opens a recall.

    Raises:
        RefusedInputError: ``severity_unknown``.
        ConflictError: ``already_resolved``, or ``recall_open``: it is rated major while the
            patient is being recalled.
    """
    row = _open(actor, discrepancy)
    if severity not in {Discrepancy.Severity.MINOR, Discrepancy.Severity.MAJOR}:
        choose = _("Choose one of the listed values.")
        raise RefusedInputError("severity_unknown", choose, fields={"severity": choose})
    recall = RecallTask.objects.filter(discrepancy=row).first()
    if severity == Discrepancy.Severity.MINOR and recall and recall.closed_at is None:
        raise _recall_open()
    row.severity = severity
    row.save(update_fields=["severity"])
    _audit(actor, "discrepancy.rate", row, row.study, severity=severity)
    if severity == Discrepancy.Severity.MAJOR and recall is None:
        task = RecallTask.objects.create(clinic_id=row.clinic_id, discrepancy=row, opened_by=actor)
        _audit(actor, "recall.open", task, row.study)
    return row


@transaction.atomic
def discrepancy_resolve(*, actor: User, discrepancy: Discrepancy, resolution: str) -> Discrepancy:
    """Say what came of it.

    Raises:
        RefusedInputError: ``resolution_missing``.
        ConflictError: ``already_resolved``, ``not_rated``, or ``recall_open``.
    """
    row = _open(actor, discrepancy)
    if not resolution.strip():
        missing = _("Say what came of it.")
        raise RefusedInputError("resolution_missing", missing, fields={"resolution": missing})
    if row.severity == Discrepancy.Severity.UNRATED:
        raise ConflictError("not_rated", _("Say first whether it matters for the patient."))
    if RecallTask.objects.filter(discrepancy=row, closed_at__isnull=True).exists():
        raise _recall_open()
    row.resolution, row.resolved_by = resolution.strip()[:2000], actor
    row.resolved_at = timezone.now()
    row.save(update_fields=["resolution", "resolved_by", "resolved_at"])
    _audit(actor, "discrepancy.resolve", row, row.study)
    return row


@transaction.atomic
def recall_contact_add(
    *, actor: User, task: RecallTask, contacted_at: datetime, way: str, result: str
) -> RecallContact:
    """Note one attempt to reach the patient.

    Raises:
        RefusedInputError: ``contact_unusable``.
        ConflictError: ``recall_closed``.
    """
    locked = _open_recall(actor, task)
    wrong = {}
    if way not in RecallContact.Way.values:
        wrong["way"] = _("Choose one of the listed values.")
    if result not in RecallContact.Result.values:
        wrong["result"] = _("Choose one of the listed values.")
    if contacted_at > timezone.now():
        wrong["contacted_at"] = _("This time is in the future.")
    if wrong:
        raise RefusedInputError("contact_unusable", next(iter(wrong.values())), fields=wrong)
    contact = RecallContact.objects.create(
        clinic_id=locked.clinic_id,
        task=locked,
        contacted_at=contacted_at,
        way=way,
        result=result,
        author=actor,
    )
    study = locked.discrepancy.study
    _audit(actor, "recall.contact", locked, study, way=way, result=result)
    return contact


@transaction.atomic
def recall_close(*, actor: User, task: RecallTask, outcome: str) -> RecallTask:
    """End the recall; somebody has tried to reach the patient.

    Raises:
        RefusedInputError: ``outcome_unknown``.
        ConflictError: ``recall_closed``, or ``no_contact``.
    """
    locked = _open_recall(actor, task)
    if outcome not in RecallTask.Outcome.values:
        choose = _("Choose one of the listed values.")
        raise RefusedInputError("outcome_unknown", choose, fields={"outcome": choose})
    if not locked.contacts.exists():
        raise ConflictError("no_contact", _("Note first how the patient was contacted."))
    locked.outcome, locked.closed_by, locked.closed_at = outcome, actor, timezone.now()
    locked.save(update_fields=["outcome", "closed_by", "closed_at"])
    _audit(actor, "recall.close", locked, locked.discrepancy.study, outcome=outcome)
    return locked


def _open(actor: User, discrepancy: Discrepancy) -> Discrepancy:
    require(user=actor, action=Action.DISCREPANCY_RESOLVE, clinic_id=discrepancy.clinic_id)
    row = (
        Discrepancy.objects.select_for_update(of=("self",))
        .select_related("study")
        .get(pk=discrepancy.pk)
    )
    if row.resolved_at is not None:
        raise ConflictError("already_resolved", _("This discrepancy is resolved already."))
    return row


def _open_recall(actor: User, task: RecallTask) -> RecallTask:
    require(user=actor, action=Action.RECALL_MANAGE, clinic_id=task.clinic_id)
    locked = (
        RecallTask.objects.select_for_update(of=("self",))
        .select_related("discrepancy__study")
        .get(pk=task.pk)
    )
    if locked.closed_at is not None:
        raise ConflictError("recall_closed", _("This recall is closed already."))
    return locked


def _recall_open() -> ConflictError:
    return ConflictError("recall_open", _("The patient's recall is still open; close it first."))


def _audit(actor: User | None, action: str, row: Any, study: Study, **details: Any) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=row.clinic_id,
        target=row,
        patient_id=study.patient_id,
        study=str(study.pk),
        **details,
    )
