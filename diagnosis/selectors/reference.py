"""The reference that the AI is compared with: one signed report a study, the one in force."""

from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import User
from diagnosis.models import ReportVersion, ReportWithdrawal

_SIGNED = ReportVersion.Status.SIGNED


def reports_in_force(*, user: User) -> QuerySet[ReportVersion]:
    """Return the newest signed version of each report, unless it was withdrawn.

    A corrected report counts once, by its newest signed version; a withdrawn one does not count
    until another version is signed. ``answer`` says what the doctors decided about the findings:
    ``yes`` (at least one is a fracture), ``no``, ``unsure`` (one is undecided) or ``""``.
    """
    return _in_force(ReportVersion.objects.counted_for(user))


def reports_in_force_of(*, clinic_id: UUID) -> QuerySet[ReportVersion]:
    """Return the same of a clinic whose scope is open, for a worker that acts for nobody."""
    return _in_force(ReportVersion.objects.filter(clinic_id=clinic_id))


def _in_force(versions: QuerySet[ReportVersion]) -> QuerySet[ReportVersion]:
    later = ReportVersion.objects.filter(
        report=OuterRef("report"), status=_SIGNED, number__gt=OuterRef("number")
    )
    withdrawn = ReportWithdrawal.objects.filter(version=OuterRef("pk"))
    return versions.filter(~Exists(later), ~Exists(withdrawn), status=_SIGNED)
