"""Which registered model reads an image; asked for each image, so a change acts at once."""

from dataclasses import dataclass
from datetime import date

from diagnosis.inference import ModelIdentity
from diagnosis.models import ModelVersion, Study, StudyImage
from diagnosis.services.model_coverage import NO_MODALITY, NO_REGION, Subject, coverage_of

# DICOM's words (PS3.16 annex L) for what the study form calls otherwise.
_BODY_PARTS = {
    "lowerleg": "lower_leg",
    "leg": "lower_leg",
    "tibia": "lower_leg",
    "fibula": "lower_leg",
    "tibiafibula": "lower_leg",
    "pelvis": "hip",
    "upperarm": "humerus",
    "thigh": "femur",
}
_PARTS = frozenset(Study.BodyPart.values)


@dataclass(frozen=True, slots=True)
class Route:
    """The version that answers for an image, and why it refuses (``""`` when it covers it)."""

    version: ModelVersion
    refusal: str


def model_route(image: StudyImage) -> Route | None:
    """Return who reads the image; ``None`` while no version is active at all.

    Active versions cover disjoint images, so at most one covers this one. When none does, the
    answer is given in the name of the first of those that came closest, without running it.
    """
    active = list(ModelVersion.objects.filter(stage=ModelVersion.Stage.ACTIVE).order_by("name"))
    subject = subject_of(image)
    routes = [Route(version, coverage_of(version).refuses(subject)) for version in active]
    return min(routes, key=_distance, default=None)


def shadow_versions(image: StudyImage) -> list[ModelVersion]:
    """Return the shadow versions that cover the image."""
    shadows = list(ModelVersion.objects.filter(stage=ModelVersion.Stage.SHADOW))
    if not shadows:
        return []
    subject = subject_of(image)
    return [version for version in shadows if not coverage_of(version).refuses(subject)]


def subject_of(image: StudyImage) -> Subject:
    """Return what is known of an image; reads its study and patient."""
    study = image.study
    return Subject(
        modality=image.modality,
        body_region=study.body_part or _body_part(image.body_part_examined),
        age_years=_years(study.patient.birth_date, image.created_at.date()),
        frame_count=image.frame_count,
    )


def identity_of(version: ModelVersion) -> ModelIdentity:
    """Return a version as results store it."""
    return ModelIdentity(
        name=version.name,
        version=version.version,
        sha256=version.sha256,
        preprocessing_version=version.preprocessing_version,
        calibration_id=version.calibration_id,
        threshold_suspicion=version.threshold_suspicion,
        threshold_definite=version.threshold_definite,
    )


def _distance(route: Route) -> int:
    """Covered first; then the refusal that tells most: age, region, modality."""
    return {"": 0, NO_REGION: 2, NO_MODALITY: 3}.get(route.refusal, 1)


def _body_part(examined: str) -> str:
    word = examined.replace(" ", "").replace("_", "").lower()
    part = _BODY_PARTS.get(word, word)
    return part if part in _PARTS else ""


def _years(born: date | None, on: date) -> int | None:
    if born is None or born > on:
        return None
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))
