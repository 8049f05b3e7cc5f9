"""The worklist: what waits to be read, most urgent first, and how much of each kind there is."""

from datetime import date, datetime, time, timedelta

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet, TextChoices
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models import Report, ReportVersion, Study
from diagnosis.models.search import search_matches
from diagnosis.selectors.studies import images_of_rows

# A study whose analysis waits or failed needs a reader all the same.
_TO_READ = (
    Study.Status.QUEUED,
    Study.Status.RUNNING,
    Study.Status.READY,
    Study.Status.FAILED,
)


class WorklistTab(TextChoices):
    """The lists a doctor switches between."""

    UNREAD = "unread", _("Unread")
    MINE = "mine", _("Mine")
    TO_SIGN = "to_sign", _("To sign")
    FAILED = "failed", _("Failed")
    REPORTED = "reported", _("Reported")
    ALL = "all", _("All")


def worklist(
    *,
    user: User,
    tab: str = WorklistTab.UNREAD,
    q: str = "",
    region: str = "",
    priority: int | str | None = None,
    verdict: str = "",
    date_from: date | None = None,
    date_to: date | None = None,
) -> QuerySet[Study]:
    """Return one tab, most urgent first, filtered; both dates are included.

    Fetches patient, images and report versions in a fixed number of queries.
    An unknown tab shows everything; an unknown filter value matches nothing.
    """
    studies = _with_state(user).filter(_condition(tab))
    for name, value in (("region", region), ("verdict", verdict)):
        if value:
            studies = studies.filter(**{name: value})
    if priority not in (None, ""):
        studies = studies.filter(priority=priority) if str(priority).isdigit() else studies.none()
    if date_from:
        studies = studies.filter(created_at__gte=_midnight(date_from))
    if date_to:
        studies = studies.filter(created_at__lt=_midnight(date_to + timedelta(days=1)))
    if q.strip():
        studies = studies.filter(pk__in=search_matches(Study, q))
    versions = ReportVersion.objects.for_user(user).select_related("author").order_by("number")
    return (
        studies.select_related("patient", "report")
        .prefetch_related(images_of_rows(user), Prefetch("report__versions", versions))
        .defer("search", "patient__search")
        .order_by("-urgency", "created_at", "id")
    )


def worklist_counts(*, user: User) -> dict[str, int]:
    """Return how many studies each tab holds, in one query."""
    tabs = {tab.value: Count("pk", filter=_condition(tab)) for tab in WorklistTab}
    return _with_state(user).aggregate(**tabs)


def _with_state(user: User) -> QuerySet[Study]:
    drafts = ReportVersion.objects.filter(report__study=OuterRef("pk"), status="draft")
    return Study.objects.for_user(user).alias(
        has_report=Exists(Report.objects.filter(study=OuterRef("pk"))),
        has_draft=Exists(drafts),
        has_own_draft=Exists(drafts.filter(author_id=user.pk)),
    )


def _condition(tab: str) -> Q:
    return {
        WorklistTab.UNREAD: Q(status__in=_TO_READ, has_report=False)
        | Q(new_image_after_report=True),
        WorklistTab.MINE: Q(has_own_draft=True),
        WorklistTab.TO_SIGN: Q(has_draft=True),
        WorklistTab.FAILED: Q(status=Study.Status.FAILED),
        WorklistTab.REPORTED: Q(status=Study.Status.REPORTED),
    }.get(WorklistTab(tab) if tab in WorklistTab.values else WorklistTab.ALL, Q())


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
