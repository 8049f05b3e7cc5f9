"""The worklist: what waits to be read, most urgent first, and how much of each kind there is.

Made for a hundred thousand studies: a page begins by one comparison of rows in an index
(keyset), its ids are read from the index alone, and the counts stop at ``COUNT_LIMIT``.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import (
    Exists,
    F,
    FloatField,
    Func,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    TextChoices,
    Value,
)
from django.db.models.lookups import GreaterThan, LessThan
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models import ReportVersion, Study, StudyClaim
from diagnosis.models.search import search_matches
from diagnosis.models.studies import WAITING_FOR_READER
from diagnosis.models.worklist import claim_in_force
from diagnosis.selectors.discrepancies import discrepancies_for
from diagnosis.selectors.first_reads import hide_ai, reads_first
from diagnosis.selectors.studies import images_of_rows

COUNT_LIMIT: Final = 1000
_ORDER: Final = ("rank", "created_at", "id")
_WAITS = Q(status__in=WAITING_FOR_READER) | Q(new_image_after_report=True)


class WorklistTab(TextChoices):
    """The lists a doctor switches between."""

    UNREAD = "unread", _("Unread")
    MINE = "mine", _("Mine")
    TO_SIGN = "to_sign", _("To sign")
    DISCREPANCY = "discrepancy", _("Discrepancies")
    FAILED = "failed", _("Failed")
    REPORTED = "reported", _("Reported")
    ALL = "all", _("All")


@dataclass(frozen=True, slots=True)
class Place:
    """A study's place in the order; pages begin after (or before) one."""

    rank: float
    created_at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{self.rank}_{self.created_at.timestamp():.6f}_{self.id.hex}"


@dataclass(frozen=True, slots=True)
class WorklistPage:
    """One page of studies, and whether there are more on its two sides."""

    studies: list[Study]
    has_previous: bool
    has_next: bool

    @property
    def first(self) -> Place | None:
        """The place of the first study."""
        return place_of(self.studies[0]) if self.studies else None

    @property
    def last(self) -> Place | None:
        """The place of the last study."""
        return place_of(self.studies[-1]) if self.studies else None


def place_of(study: Study) -> Place:
    """Return where a study stands."""
    return Place(rank=study.rank, created_at=study.created_at, id=study.pk)


def place_read(text: str) -> Place | None:
    """Return the place that an address names; ``None`` for what no page has written."""
    try:
        rank, moment, pk = text.split("_")
        at = datetime.fromtimestamp(float(moment), tz=timezone.get_default_timezone())
        place = Place(rank=float(rank), created_at=at, id=UUID(pk))
    except (ValueError, OverflowError, OSError):
        return None
    return place if abs(place.rank) < 1e6 else None


def worklist(*, user: User, tab: str = WorklistTab.UNREAD, **filters: Any) -> QuerySet[Study]:
    """Return one tab, most urgent first, filtered; see ``worklist_filtered``.

    Fetches patient, images and report versions in a fixed number of queries.
    """
    found = worklist_filtered(user=user, tab=tab, **filters)
    return _with_details(found, user).order_by(*_order(user))


def worklist_page(
    *,
    user: User,
    rows: int,
    after: Place | None = None,
    before: Place | None = None,
    **filters: Any,
) -> WorklistPage:
    """Return the ``rows`` studies after a place, or before one, or the first ones."""
    found = worklist_filtered(user=user, **filters)
    turned = before is not None
    place = before or after
    order = _order(user)
    beyond = _beyond(found, place, turned=turned, order=order)
    ids = list(beyond.values_list("pk", flat=True)[: rows + 1])
    more, ids = len(ids) > rows, ids[:rows]
    studies = hide_ai(
        user=user, studies=_with_details(Study.objects.for_user(user).filter(pk__in=ids), user)
    )
    studies.sort(key=lambda study: (study.rank, study.created_at, study.pk))
    return WorklistPage(
        studies=studies,
        has_previous=more if turned else after is not None,
        has_next=True if turned else more,
    )


def worklist_neighbours(
    *, user: User, study: Study, **filters: Any
) -> tuple[UUID | None, UUID | None]:
    """Return the ids of the studies before and after this one's place in a filtered tab."""
    found = worklist_filtered(user=user, **filters).exclude(pk=study.pk)
    place = place_of(study)
    before, after = (
        _beyond(found, place, turned=turned, order=_order(user))
        .values_list("pk", flat=True)
        .first()
        for turned in (True, False)
    )
    return before, after


def worklist_filtered(
    *,
    user: User,
    tab: str = WorklistTab.UNREAD,
    q: str = "",
    region: str = "",
    priority: int | str | None = None,
    verdict: str = "",
    side: str = "",
    technician: str = "",
    date_from: date | None = None,
    date_to: date | None = None,
) -> QuerySet[Study]:
    """Return the rows of one tab that fit the filters, unordered; both dates are included.

    An unknown tab shows everything; an unknown filter value matches nothing.
    """
    studies = _tab(user, tab)
    if (region or verdict) and isinstance(user, User) and reads_first(user=user):
        studies = studies.filter(status=Study.Status.REPORTED)  # of others it would tell
    for name, value in (("region", region), ("verdict", verdict), ("side", side)):
        if value:
            studies = studies.filter(**{name: value})
    if priority not in (None, ""):
        studies = studies.filter(priority=priority) if str(priority).isdigit() else studies.none()
    if technician:
        studies = studies.filter(created_by__pk=technician)
    if date_from:
        studies = studies.filter(created_at__gte=_midnight(date_from))
    if date_to:
        studies = studies.filter(created_at__lt=_midnight(date_to + timedelta(days=1)))
    if q.strip():
        studies = studies.filter(pk__in=search_matches(Study, q))
    return studies


def worklist_counts(*, user: User) -> dict[str, int]:
    """Return how many studies each tab holds, in one query; ``COUNT_LIMIT`` means that or more."""
    counts = dict.fromkeys(WorklistTab.values, 0)
    if not isinstance(user, User):
        return counts
    parts: list[str] = []
    parameters: list[Any] = []
    for tab in WorklistTab.values:
        limited = _tab(user, tab).order_by().values("pk")[:COUNT_LIMIT]
        sql, values = limited.query.sql_with_params()
        parts.append(f"(SELECT count(*) FROM ({sql}) found)")  # noqa: S608 - Django's own SQL
        parameters += values
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", parameters)
        row = cursor.fetchone()
    return dict(zip(counts, row or counts.values(), strict=True))


def worklist_news(*, user: User, since: datetime, shown: list[UUID], **filters: Any) -> int:
    """Return how many studies came or changed since then and are not on the screen, at most 100."""
    fresh = worklist_filtered(user=user, **filters).filter(updated_at__gt=since)
    return fresh.exclude(pk__in=shown)[:100].count()


def live_claims(*, user: User, studies: list[Study]) -> dict[UUID, StudyClaim]:
    """Return who reads which of these studies now."""
    claims = StudyClaim.objects.for_user(user).filter(
        claim_in_force(), study__in=[study.pk for study in studies]
    )
    return {claim.study_id: claim for claim in claims.select_related("doctor")}


def live_claim(*, user: User, study: Study) -> StudyClaim | None:
    """Return who reads this study now."""
    return live_claims(user=user, studies=[study]).get(study.pk)


def _tab(user: User, tab: str) -> QuerySet[Study]:
    studies = Study.objects.for_user(user)
    drafts = ReportVersion.objects.for_user(user).filter(status=ReportVersion.Status.DRAFT)
    match tab:
        case WorklistTab.UNREAD:
            # The first condition is the one of the index ``study_unread``, word for word. A study
            # that has a report and is not signed has a draft; of drafts there are few.
            drafted = Exists(drafts.filter(report__study=OuterRef("pk")))
            return studies.filter(_WAITS).filter(Q(new_image_after_report=True) | ~drafted)
        case WorklistTab.MINE:
            own = drafts.filter(author_id=user.pk).values("report__study")
            held = StudyClaim.objects.for_user(user).filter(claim_in_force(), doctor_id=user.pk)
            given = studies.filter(_WAITS, assigned_to_id=user.pk)
            ids = own.union(held.values("study"), given.values("pk"))
            return studies.filter(pk__in=ids)
        case WorklistTab.TO_SIGN:
            return studies.filter(pk__in=drafts.values("report__study"))
        case WorklistTab.DISCREPANCY:
            return studies.filter(pk__in=discrepancies_for(user=user).values("study"))
        case WorklistTab.FAILED:
            return studies.filter(status=Study.Status.FAILED)
        case WorklistTab.REPORTED:
            return studies.filter(status=Study.Status.REPORTED)
        case _:
            return studies.exclude(status=Study.Status.PRIOR)


def _order(user: User) -> tuple[str, ...]:
    """Return the columns of the order; who reads before the AI gets none of its making."""
    hidden = isinstance(user, User) and reads_first(user=user)
    return ("priority", *_ORDER[1:]) if hidden else _ORDER


def _beyond(
    studies: QuerySet[Study], place: Place | None, *, turned: bool, order: tuple[str, ...]
) -> QuerySet[Study]:
    """Return what lies after the place, or before it nearest first when ``turned``."""
    if place is not None:
        here = _row(Value(place.rank, FloatField()), Value(place.created_at), Value(place.id))
        compare = LessThan if turned else GreaterThan
        studies = studies.filter(compare(_row(*(F(name) for name in order)), here))
    return studies.order_by(*(f"-{name}" for name in order) if turned else order)


def _row(*parts: Any) -> Func:
    return Func(*parts, function="ROW", output_field=FloatField())


def _with_details(studies: QuerySet[Study], user: User) -> QuerySet[Study]:
    versions = ReportVersion.objects.for_user(user).select_related("author").order_by("number")
    return (
        studies.select_related("patient", "report", "assigned_to")
        .prefetch_related(images_of_rows(user), Prefetch("report__versions", versions))
        .defer("search", "patient__search")
    )


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
