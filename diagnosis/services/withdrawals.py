"""Withdrawing a signed report that must not be used any more."""

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import Report, ReportVersion, ReportWithdrawal
from diagnosis.services.report_locks import report_audit
from diagnosis.services.study_results import study_refresh
from fracture_site.common.errors import ConflictError, RefusedInputError


@transaction.atomic
def report_withdraw(*, actor: User, report: Report, reason: str) -> ReportWithdrawal:
    """Mark the newest signed version as withdrawn; the study waits for a reader again.

    The caller has confirmed the credentials of ``actor``. The version stays as it was signed;
    an amendment replaces it.

    Raises:
        RefusedInputError: ``reason_missing``.
        ConflictError: ``not_signed``, or ``already_withdrawn``.
    """
    require(user=actor, action=Action.REPORT_SIGN, clinic_id=report.clinic_id)
    if not reason.strip():
        missing = _("Say why the report is withdrawn.")
        raise RefusedInputError("reason_missing", missing, fields={"reason": missing})
    Report.objects.select_for_update().get(pk=report.pk)
    version = report.versions.filter(status=ReportVersion.Status.SIGNED).order_by("-number").first()
    if version is None:
        raise ConflictError("not_signed", _("Only a signed report is withdrawn."))
    if ReportWithdrawal.objects.filter(version=version).exists():
        raise ConflictError("already_withdrawn", _("This report is withdrawn already."))
    withdrawal = ReportWithdrawal.objects.create(
        clinic_id=report.clinic_id,
        version=version,
        reason=reason.strip()[:2000],
        author=actor,
    )
    study_refresh(study_id=report.study_id)
    report_audit(actor, "report.withdraw", report, report.study, version=version.number)
    return withdrawal
