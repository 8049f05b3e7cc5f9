"""Second readers: a first signature waits for a colleague who agrees or disagrees.

Whoever signs second makes the report final; both names stand on it. The caller has confirmed
the credentials of ``actor``.
"""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import Discrepancy, Report, ReportVersion, SecondReading
from diagnosis.selectors.findings import PROPOSED, reviewed_findings_for
from diagnosis.services.report_locks import check_revision, locked_draft, report_audit
from diagnosis.services.report_signing import report_sign, signable_study
from fracture_site.common.errors import ConflictError, RefusedInputError

State = SecondReading.State


@transaction.atomic
def report_finish(
    *, actor: User, report: Report, revision: int | None = None, second_reader: bool = False
) -> ReportVersion:
    """Sign the draft, or hand it to a second reader where the clinic's rule or ``actor`` asks.

    Raises:
        DomainError: as ``report_sign``.
    """
    require(user=actor, action=Action.REPORT_SIGN, clinic_id=report.clinic_id)
    if not _needs_second_reader(actor, report, asked=second_reader):
        return report_sign(actor=actor, report=report, revision=revision)
    draft = locked_draft(report, to_edit=True)
    if revision is not None:
        check_revision(draft, revision)
    study = signable_study(draft)
    SecondReading.objects.create(
        clinic_id=report.clinic_id, version=draft, revision=draft.revision, first_reader=actor
    )
    report_audit(actor, "report.second_reader", report, study, version=draft.number)
    return draft


@transaction.atomic
def second_reading_agree(*, actor: User, report: Report) -> ReportVersion:
    """Confirm the text as it is; the report is final and carries both names.

    Raises:
        ConflictError: ``not_awaiting``, or ``same_reader``.
        DomainError: as ``report_sign``.
    """
    reading = _open_reading(actor, report)
    version = report_sign(
        actor=actor,
        report=report,
        revision=reading.revision,
        first_reader=reading.first_reader,
    )
    _decide(reading, State.AGREED, actor)
    return version


@transaction.atomic
def second_reading_disagree(*, actor: User, report: Report, remark: str) -> Discrepancy:
    """Say what is seen otherwise; the draft goes back to its writer, a discrepancy is opened.

    Raises:
        RefusedInputError: ``remark_missing``.
        ConflictError: ``not_awaiting``, or ``same_reader``.
    """
    reading = _open_reading(actor, report)
    remark = remark.strip()[:2000]
    if not remark:
        missing = _("Say what you see otherwise.")
        raise RefusedInputError("remark_missing", missing, fields={"remark": missing})
    _decide(reading, State.DISAGREED, actor, remark)
    discrepancy = Discrepancy.objects.create(
        clinic_id=report.clinic_id,
        study_id=report.study_id,
        kind=Discrepancy.Kind.READERS,
        version_number=reading.version.number,
        first="agreed",
        second="disagreed",
        remark=remark,
    )
    report_audit(actor, "report.disagree", report, report.study, discrepancy=str(discrepancy.pk))
    return discrepancy


@transaction.atomic
def second_reading_withdraw(*, actor: User, report: Report) -> SecondReading:
    """Take the draft back from the second reader; only who signed first may.

    Raises:
        ConflictError: ``not_awaiting``, or ``other_reader``.
    """
    require(user=actor, action=Action.REPORT_SIGN, clinic_id=report.clinic_id)
    reading = _awaiting(report)
    if reading.first_reader_id != actor.pk:
        raise ConflictError("other_reader", _("Only who signed first can take it back."))
    _decide(reading, State.WITHDRAWN, None)
    report_audit(actor, "report.second_reader_withdrawn", report, report.study)
    return reading


def _needs_second_reader(actor: User, report: Report, *, asked: bool) -> bool:
    rule = report.clinic.second_reader
    if rule == "never":
        return False
    if asked or rule == "on_request":
        return asked
    found = reviewed_findings_for(study=report.study, user=actor)
    return any(
        each.is_confirmed or (each.state == PROPOSED and each.certainty == "definite")
        for each in found
    )


def _open_reading(actor: User, report: Report) -> SecondReading:
    require(user=actor, action=Action.REPORT_SIGN, clinic_id=report.clinic_id)
    reading = _awaiting(report)
    if reading.first_reader_id == actor.pk:
        raise ConflictError("same_reader", _("The second reader must be somebody else."))
    return reading


def _awaiting(report: Report) -> SecondReading:
    draft = locked_draft(report)
    reading = (
        draft.second_readings.filter(state=State.AWAITING).select_related("first_reader").first()
    )
    if reading is None:
        raise ConflictError("not_awaiting", _("No second reader is asked for at the moment."))
    return reading


def _decide(reading: SecondReading, state: str, reader: User | None, remark: str = "") -> None:
    reading.state, reading.reader, reading.remark = state, reader, remark
    reading.decided_at = timezone.now()
    reading.save(update_fields=["state", "reader", "remark", "decided_at"])
