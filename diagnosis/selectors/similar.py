"""Confirmed cases of the clinic that are like a study: simple rules, nothing learned."""

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import User
from diagnosis.models import FindingReview, Study
from diagnosis.selectors.findings import CONFIRMED
from diagnosis.selectors.studies import images_of_rows

SHOWN = 12
_LOOKED_AT = 200


def similar_cases(*, user: User, study: Study) -> list[Study]:
    """Return signed studies of other patients in which a doctor confirmed a fracture.

    Of the same ordered body part, or of the region that the AI saw when no part was ordered.
    Nearest first: the same severity, then the same side, then the closest probability. Only the
    newest 200 are compared.
    """
    if not study.body_part and not study.region:
        return []
    place = Q(body_part=study.body_part) if study.body_part else Q(region=study.region)
    found = _confirmed(user).filter(place).exclude(patient_id=study.patient_id)
    rows = list(found.order_by("-created_at", "id")[:_LOOKED_AT])

    def distance(other: Study) -> tuple[bool, bool, float]:
        gap = abs((other.probability or 0.0) - (study.probability or 0.0))
        return other.severity != study.severity, other.side != study.side, gap

    return sorted(rows, key=distance)[:SHOWN]


def _confirmed(user: User) -> QuerySet[Study]:
    reviews = FindingReview.objects.for_user(user)
    later = reviews.filter(uid=OuterRef("uid"), number__gt=OuterRef("number"))
    confirmed = reviews.filter(image__study=OuterRef("pk"), decision__in=CONFIRMED)
    return (
        Study.objects.for_user(user)
        .filter(Exists(confirmed.filter(~Exists(later))), status=Study.Status.REPORTED)
        .prefetch_related(images_of_rows(user))
        .defer("search")
    )
