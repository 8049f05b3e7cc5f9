"""What every change of a report begins and ends with: lock, revision, audit event."""

from typing import Any

from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from diagnosis.models import Report, ReportVersion, SecondReading, Study
from fracture_site.common.errors import ConflictError, PreconditionError

DRAFT, SIGNED = ReportVersion.Status.DRAFT, ReportVersion.Status.SIGNED


def locked_draft(report: Report, *, to_edit: bool = False) -> ReportVersion:
    """Return the draft under the report's lock.

    Raises:
        ConflictError: ``already_signed``, or with ``to_edit`` ``awaiting_second_reader``.
    """
    Report.objects.select_for_update().get(pk=report.pk)
    draft = report.versions.filter(status=DRAFT).first()
    if draft is None:
        raise ConflictError(
            "already_signed", _("This report is signed. Write an amendment to change it.")
        )
    if to_edit:
        refuse_awaiting(draft)
    return draft


def refuse_awaiting(draft: ReportVersion) -> None:
    """Return silently unless a second reader has the draft in hand.

    Raises:
        ConflictError: ``awaiting_second_reader``.
    """
    if draft.second_readings.filter(state=SecondReading.State.AWAITING).exists():
        raise ConflictError(
            "awaiting_second_reader",
            _("A second reader has this report. Take it back before you change anything."),
        )


def check_revision(draft: ReportVersion, revision: int) -> None:
    """Return silently when ``revision`` is the draft as it is now.

    Raises:
        PreconditionError: ``draft_changed``.
    """
    if draft.revision != revision:
        raise PreconditionError(
            "draft_changed",
            _("Somebody saved this draft in between. Load it again and repeat your change."),
            extra={"revision": draft.revision},
        )


def report_audit(actor: User, action: str, report: Report, study: Study, **details: Any) -> None:
    """Record an action on a report."""
    audit_record(
        actor=actor,
        action=action,
        clinic_id=report.clinic_id,
        target=report,
        patient_id=study.patient_id,
        **details,
    )
