"""Reads of reports."""

from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django.http import Http404

from accounts.models import User
from diagnosis.models import Report, ReportVersion
from diagnosis.selectors.lookup import get_or_404


def report_list(*, user: User) -> QuerySet[Report]:
    """Return the clinic's reports with study, patient and versions, newest first."""
    return (
        Report.objects.for_user(user)
        .select_related("study__patient")
        .prefetch_related(Prefetch("versions", _versions(user)))
        .defer("study__search", "study__patient__search")
        .order_by("-created_at", "id")
    )


def report_get(*, user: User, pk: UUID | str) -> Report:
    """Return one report with study, patient and versions (oldest first)."""
    return get_or_404(report_list(user=user), pk)


def report_version_get(*, user: User, report: Report, number: int | None = None) -> ReportVersion:
    """Return the version with this number, by default the newest (draft or signed)."""
    versions = _versions(user).filter(report=report).order_by("-number")
    version = (versions if number is None else versions.filter(number=number)).first()
    if version is None:
        raise Http404
    return version


def _versions(user: User) -> QuerySet[ReportVersion]:
    versions = ReportVersion.objects.for_user(user).select_related(
        "author", "signed_by", "withdrawal"
    )
    return versions.order_by("number")
