"""Findings as they stand: what the AI proposed and what doctors decided about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django.http import Http404

from accounts.models import User
from diagnosis.models import Analysis, Finding, FindingReview, Study, StudyImage
from diagnosis.selectors.lookup import get_or_404

_Decision = FindingReview.Decision
# What a doctor vouches for; it stays when a newer run no longer shows the place.
CONFIRMED = (_Decision.ACCEPTED, _Decision.MOVED, _Decision.ADDED)
PROPOSED = "proposed"
SUGGESTED = ("fracture_type", "displacement", "severity")  # what the AI reads, experimentally


@dataclass(frozen=True, slots=True)
class ReviewedFinding:
    """One finding of one image: the AI's row, the newest decision about it, or both.

    ``is_current`` is False for an AI finding that a later run did not repeat.
    """

    image: StudyImage
    finding: Finding | None
    review: FindingReview | None
    is_current: bool = True

    @property
    def id(self) -> UUID:
        """Public name: the AI finding's id, or the ``uid`` of an added one."""
        return self.finding.pk if self.finding else self._reviewed.uid

    @property
    def uid(self) -> UUID:
        """Tracking UID that every carrier repeats."""
        return self.finding.uid if self.finding else self._reviewed.uid

    @property
    def revision(self) -> int:
        """How often doctors decided about it, 0 before the first time."""
        return self.review.number if self.review else 0

    @property
    def state(self) -> str:
        """``proposed``, ``accepted``, ``rejected``, ``moved``, ``added`` or ``withdrawn``."""
        if self.review is None or (self.finding and self.review.decision == _Decision.WITHDRAWN):
            return PROPOSED
        return self.review.decision

    @property
    def source(self) -> str:
        """``ai`` or ``doctor``."""
        return "ai" if self.finding else "doctor"

    @property
    def is_confirmed(self) -> bool:
        """Whether a doctor says that this is a fracture."""
        return self.state in CONFIRMED

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, width, height in pixels of the image, origin top left."""
        row = self.finding if self.state == PROPOSED and self.finding else self._reviewed
        return row.x, row.y, row.width, row.height

    @property
    def probability(self) -> float | None:
        """The AI's, 0 to 1; None for an added one."""
        return self.finding.probability if self.finding else None

    @property
    def certainty(self) -> str:
        """``definite`` (solid box) or ``suspicion`` (dashed); a doctor's word is definite."""
        if self.is_confirmed or self.finding is None:
            return Finding.Certainty.DEFINITE
        return self.finding.certainty

    def described(self, name: str) -> str:
        """Return what a doctor said of ``fracture_type``, ``bone`` …, ``""`` when nothing."""
        if self.review is None or self.state == PROPOSED:
            return ""
        return str(getattr(self.review, name))

    def suggested(self, name: str) -> str:
        """Return the AI's experimental reading that no doctor has replaced, or ``""``."""
        if self.finding is None or self.described(name):
            return ""
        return str(getattr(self.finding, name, ""))

    @property
    def _reviewed(self) -> FindingReview:
        if self.review is None:
            raise TypeError("a finding is the AI's, or it has a review")
        return self.review


def reviewed_findings_for(*, study: Study, user: User) -> list[ReviewedFinding]:
    """Return the study's findings in the order of its images, then of probability, added ones last.

    Shown are the findings of each image's newest result, confirmed ones of earlier results,
    and added ones; four queries whatever their number.
    """
    images = StudyImage.objects.for_user(user).filter(study=study)
    return [
        found
        for image in _with_findings(images, user).order_by("position", "created_at", "id")
        for found in findings_of_image(image)
    ]


def findings_of_image(image: StudyImage) -> list[ReviewedFinding]:
    """Return one image's findings; analyses, their findings and reviews are prefetched."""
    newest = _newest_by_uid(image.finding_reviews.all())
    result = image.newest_result
    current = list(result.findings.all()) if result else []
    found = [ReviewedFinding(image, row, newest.pop(row.uid, None)) for row in current]
    found += [
        ReviewedFinding(image, review.finding, review, is_current=review.finding is None)
        for review in newest.values()
        if review.decision in CONFIRMED
    ]
    return sorted(found, key=lambda each: -(each.probability or 0.0))


def reviewed_finding_get(*, user: User, pk: UUID | str) -> ReviewedFinding:
    """Return one finding by its public id; an added one also when it was taken back.

    Raises:
        Http404: there is none in the current clinic.
    """
    reviews = FindingReview.objects.for_user(user).select_related("image", "finding")
    finding = Finding.objects.for_user(user).filter(pk=pk).select_related("analysis__image").first()
    if finding:
        newest = reviews.filter(uid=finding.uid).order_by("-number").first()
        return ReviewedFinding(finding.analysis.image, finding, newest)
    review = reviews.filter(uid=pk, finding__isnull=True).order_by("-number").first()
    if review is None:
        raise Http404
    return ReviewedFinding(review.image, None, review)


def finding_history(*, user: User, found: ReviewedFinding) -> QuerySet[FindingReview]:
    """Return every decision about one finding, oldest first, with its author."""
    reviews = FindingReview.objects.for_user(user).filter(uid=found.uid)
    return reviews.select_related("author").order_by("number")


def study_image_get(*, user: User, study: Study, pk: UUID | str) -> StudyImage:
    """Return one image of the study.

    Raises:
        Http404: it is none of the study's.
    """
    return get_or_404(StudyImage.objects.for_user(user).filter(study=study), pk)


def _with_findings(images: QuerySet[StudyImage], user: User) -> QuerySet[StudyImage]:
    findings = Finding.objects.for_user(user).order_by("-probability", "id")
    analyses = Analysis.objects.for_user(user).prefetch_related(Prefetch("findings", findings))
    return images.prefetch_related(
        Prefetch("analyses", analyses.order_by("-created_at", "id")), reviews_of_images(user)
    )


def reviews_of_images(user: User) -> "Prefetch[Any]":
    """Return the prefetch with which ``findings_of_image`` needs no query of its own."""
    reviews = FindingReview.objects.for_user(user).select_related("finding", "author")
    return Prefetch("finding_reviews", reviews.order_by("number"))


def _newest_by_uid(reviews: Iterable[FindingReview]) -> dict[UUID, FindingReview]:
    return {review.uid: review for review in sorted(reviews, key=lambda row: row.number)}
