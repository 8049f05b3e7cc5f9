"""How a shadow version compares with what the active one said about the same images.

Counts of one clinic; never shown to doctors. Truth, where there is any, is what the doctors of
signed reports decided about findings (``selectors.truth``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from accounts.models import User
from diagnosis.models import Finding, ModelVersion, ShadowRun, Verdict
from diagnosis.models.studies import own_work
from diagnosis.selectors.findings import reviews_of_images
from diagnosis.selectors.proportions import Share
from diagnosis.selectors.truth import image_truth, signed_studies

POSITIVE = frozenset({Verdict.DEFINITE, Verdict.SUSPICION})
BINS = 10  # of the difference in probability, each 0.2 wide from -1 to 1
SHOWN = 50
NEWEST = 5000


@dataclass(frozen=True, slots=True)
class Pair:
    """What both versions said about one image; ``truth`` is ``None`` when nobody decided."""

    study_id: UUID
    image_id: UUID
    active: str
    active_probability: float | None
    shadow: str
    shadow_probability: float | None
    truth: bool | None = None

    @property
    def active_label(self) -> str:
        """The active version's verdict in the words of the screens."""
        return str(Verdict(self.active).label)

    @property
    def shadow_label(self) -> str:
        """The shadow's verdict in the same words."""
        return str(Verdict(self.shadow).label)

    @property
    def agrees(self) -> bool:
        """Whether both call it a fracture, both do not, or both cannot assess it."""
        return _called(self.active) == _called(self.shadow)

    @property
    def difference(self) -> float | None:
        """Shadow minus active, ``None`` when one of them could not assess the image."""
        if self.active_probability is None or self.shadow_probability is None:
            return None
        return self.shadow_probability - self.active_probability


@dataclass(frozen=True, slots=True)
class Comparison:
    """The figures of a shadow version in one clinic."""

    count: int
    waiting: int
    failed: int
    agreement: Share
    active_right: Share
    shadow_right: Share
    mean_difference: float | None
    histogram: tuple[int, ...]
    discordant: tuple[Pair, ...]
    median_ms: float | None


def shadow_comparison(*, user: User, version: ModelVersion) -> Comparison:
    """Compare over the newest ``NEWEST`` images of the clinic that both versions have read."""
    runs = ShadowRun.objects.for_user(user).filter(own_work("image__study"), model_version=version)
    done = runs.filter(status=ShadowRun.Status.SUCCEEDED).order_by("-created_at", "id")
    rows = list(_with_truth(done, user)[:NEWEST])
    signed = signed_studies(user=user, study_ids={run.image.study_id for run in rows})
    took = sorted(run.milliseconds for run in rows if run.milliseconds is not None)
    return compare(
        [_pair(run, run.image.study_id in signed) for run in rows],
        waiting=runs.filter(status__in=ShadowRun.OPEN).count(),
        failed=runs.filter(status=ShadowRun.Status.FAILED).count(),
        median_ms=took[len(took) // 2] if took else None,
    )


def compare(
    pairs: Sequence[Pair], *, waiting: int = 0, failed: int = 0, median_ms: float | None = None
) -> Comparison:
    """Return the figures of pairs, newest first; pure."""
    differences = [pair.difference for pair in pairs if pair.difference is not None]
    judged = [pair for pair in pairs if pair.truth is not None]
    return Comparison(
        count=len(pairs),
        waiting=waiting,
        failed=failed,
        agreement=Share(sum(pair.agrees for pair in pairs), len(pairs)),
        active_right=Share(sum(_called(p.active) is p.truth for p in judged), len(judged)),
        shadow_right=Share(sum(_called(p.shadow) is p.truth for p in judged), len(judged)),
        mean_difference=sum(differences) / len(differences) if differences else None,
        histogram=_histogram(differences),
        discordant=tuple(pair for pair in pairs if not pair.agrees)[:SHOWN],
        median_ms=median_ms,
    )


def _histogram(differences: Iterable[float]) -> tuple[int, ...]:
    counts = [0] * BINS
    for difference in differences:
        counts[min(int((difference + 1.0) / 2.0 * BINS), BINS - 1)] += 1
    return tuple(counts)


def _called(verdict: str) -> bool | None:
    """Return whether a verdict says fracture; ``None`` when the image was not assessed."""
    return None if verdict == Verdict.CANNOT_ASSESS else verdict in POSITIVE


def _pair(run: ShadowRun, signed: bool) -> Pair:  # noqa: FBT001 - one private call
    return Pair(
        study_id=run.image.study_id,
        image_id=run.image_id,
        active=run.analysis.verdict,
        active_probability=run.analysis.probability,
        shadow=run.verdict,
        shadow_probability=run.probability,
        truth=image_truth(run.image) if signed else None,
    )


def _with_truth(runs: QuerySet[ShadowRun], user: User) -> QuerySet[ShadowRun]:
    reviews = reviews_of_images(user)
    reviews.add_prefix("image")
    findings = Finding.objects.for_user(user).order_by("-probability", "id")
    return (
        runs.select_related("image", "analysis")
        .prefetch_related(
            reviews, "image__analyses", Prefetch("image__analyses__findings", findings)
        )
        .filter(analysis__status=ShadowRun.Status.SUCCEEDED)
    )
