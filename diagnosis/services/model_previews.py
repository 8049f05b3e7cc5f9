"""What a browser needs to run the model in use by itself: the preview's model and its file.

A preview is not a result: nothing is stored, and the picture stays on the device. It uses the
version that reads picture files today; when that changes, so does the preview.
"""

from dataclasses import dataclass
from typing import Any, Final

from accounts.models import User
from diagnosis.models import ModelVersion
from diagnosis.selectors.first_reads import reads_first
from diagnosis.services.model_coverage import PHOTO, Subject, coverage_of
from diagnosis.storage import artifact_size

NO_MODEL: Final = "no_model"
READS_FIRST: Final = "reads_first"
# What the browser computes with; training, metrics and file names stay here.
_KEYS: Final = (
    "input_size",
    "preprocessing_version",
    "flip_average",
    "map_weight",
    "calibration",
    "thresholds",
    "box_thresholds",
)


@dataclass(frozen=True, slots=True)
class ModelPreview:
    """The model of the preview.

    Attributes:
        version: the registered version.
        size: bytes of its weights.
        manifest: calibration, thresholds and how to prepare; ``gate`` says whether the server's
            gate is a learned one.
    """

    version: ModelVersion
    size: int
    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NoPreview:
    """Why there is none: ``no_model`` or ``reads_first``."""

    code: str


def model_preview(*, user: User) -> ModelPreview | NoPreview:
    """Return the model that this person's browser may run, or why there is none.

    Whoever answers before the AI gets no preview either.

    Raises:
        OSError: the store does not answer.
    """
    if reads_first(user=user):
        return NoPreview(READS_FIRST)
    version = _preview_version()
    if version is None or any(key not in version.manifest for key in _KEYS):
        return NoPreview(NO_MODEL)
    try:
        size = artifact_size(version.sha256)
    except FileNotFoundError:
        return NoPreview(NO_MODEL)
    manifest = {key: version.manifest[key] for key in _KEYS}
    return ModelPreview(version, size, manifest | {"gate": "gate" in version.manifest})


def _preview_version() -> ModelVersion | None:
    """Return the active version that covers a picture of which nothing else is known."""
    active = ModelVersion.objects.filter(stage=ModelVersion.Stage.ACTIVE).order_by("name")
    subject = Subject(PHOTO)
    return next((v for v in active if not coverage_of(v).refuses(subject)), None)
