"""What the writers of DICOM objects need to know, free of models and database."""

import datetime
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydicom import uid as uids
from pydicom.uid import UID

# Only references to images of these classes name a frame.
_MULTI_FRAME_CLASSES: Final = frozenset(
    {
        uids.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uids.MultiFrameTrueColorSecondaryCaptureImageStorage,
        uids.XRayAngiographicImageStorage,
        uids.EnhancedXAImageStorage,
        uids.XRayRadiofluoroscopicImageStorage,
        uids.EnhancedXRFImageStorage,
    }
)


class Certainty(StrEnum):
    """How sure the AI is of one finding: a solid or a dashed box."""

    DEFINITE = "definite"
    SUSPICION = "suspicion"


class ImageVerdict(StrEnum):
    """The AI's answer for one image."""

    DEFINITE = "definite"
    SUSPICION = "suspicion"
    NEGATIVE = "negative"
    CANNOT_ASSESS = "cannot_assess"


@dataclass(frozen=True, slots=True)
class PatientForDicom:
    """Whose images these are; ``name`` in DICOM form: ``Family^Given``."""

    patient_id: str
    name: str
    birth_date: datetime.date | None = None
    sex: str = ""

    def __post_init__(self) -> None:
        if self.sex not in {"", "M", "F", "O"}:
            raise ValueError("The sex must be M, F, O or empty.")


@dataclass(frozen=True, slots=True)
class StudyForDicom:
    """The study that the objects join; dates and times as the images say them."""

    instance_uid: str
    study_id: str = ""
    accession_number: str = ""
    study_date: datetime.date | None = None
    study_time: datetime.time | None = None
    referring_physician: str = ""

    def __post_init__(self) -> None:
        _require_uid(self.instance_uid)


@dataclass(frozen=True, slots=True)
class SourceImageForDicom:
    """The attributes of one untouched image that derived objects refer to or repeat.

    ``window`` is centre and width, ``rescale`` slope and intercept, as the image says them.
    ``study_uid`` is its own study when the result's is another one.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    rows: int
    columns: int
    modality: str
    samples_per_pixel: int = 1
    photometric_interpretation: str = "MONOCHROME2"
    frame_count: int = 1
    laterality: str = ""
    window: tuple[float, float] | None = None
    rescale: tuple[float, float] | None = None
    study_uid: str = ""

    def __post_init__(self) -> None:
        for uid in (self.sop_class_uid, self.sop_instance_uid, self.series_instance_uid):
            _require_uid(uid)
        if min(self.rows, self.columns, self.samples_per_pixel, self.frame_count) < 1:
            raise ValueError("An image has at least one pixel, sample and frame.")
        if self.laterality not in {"", "L", "R", "B", "U"}:
            raise ValueError("The laterality must be L, R, B, U or empty.")

    @property
    def is_multi_frame(self) -> bool:
        """Whether references to this image name the frame."""
        return self.sop_class_uid in _MULTI_FRAME_CLASSES


@dataclass(frozen=True, slots=True)
class FindingForDicom:
    """One box in pixels of its image, origin top left; ``uid`` is the same in every carrier.

    One that a doctor added (``by_reader``) has no probability; one of the AI always has.
    """

    uid: UUID
    x: float
    y: float
    width: float
    height: float
    probability: float | None
    certainty: Certainty
    by_reader: bool = False

    def __post_init__(self) -> None:
        if (self.probability is None) != self.by_reader:
            raise ValueError("The AI gives a probability, a reader gives none.")
        if not all(math.isfinite(v) for v in (self.x, self.y, self.width, self.height)):
            raise ValueError("A box has finite coordinates.")
        if self.width <= 0 or self.height <= 0:
            raise ValueError("A box has an area.")
        if self.probability is not None:
            _require_probability(self.probability)


@dataclass(frozen=True, slots=True)
class ImageResultForDicom:
    """What the AI says about one image; without probability exactly when it cannot assess it."""

    image: SourceImageForDicom
    verdict: ImageVerdict
    probability: float | None
    region: str = ""
    findings: tuple[FindingForDicom, ...] = ()

    def __post_init__(self) -> None:
        if (self.probability is None) != (self.verdict is ImageVerdict.CANNOT_ASSESS):
            raise ValueError("Only an image that cannot be assessed has no probability.")
        if self.probability is not None:
            _require_probability(self.probability)
        for finding in self.findings:
            if finding.x >= self.image.columns or finding.y >= self.image.rows:
                raise ValueError("A box lies outside of its image.")
            if finding.x + finding.width <= 0 or finding.y + finding.height <= 0:
                raise ValueError("A box lies outside of its image.")


@dataclass(frozen=True, slots=True)
class AlgorithmForDicom:
    """The model and who makes it; ``serial_number`` tells installations apart.

    ``is_recalled``: the version was recalled after it made the result.
    """

    name: str
    version: str
    manufacturer: str
    serial_number: str
    is_recalled: bool = False

    @property
    def label(self) -> str:
        """The version as readers of a picture see it."""
        return f"{self.version} RECALLED" if self.is_recalled else self.version

    def __post_init__(self) -> None:
        if not all((self.name, self.version, self.manufacturer, self.serial_number)):
            raise ValueError("An algorithm has a name, a version, a maker and a serial number.")


@dataclass(frozen=True, slots=True)
class SignatureForDicom:
    """Who has signed the report, for which organisation, and when (with a time zone)."""

    signer_name: str
    organization: str
    signed_at: datetime.datetime

    def __post_init__(self) -> None:
        if not self.signer_name or not self.organization:
            raise ValueError("A signature names a person and an organisation.")
        _require_zone(self.signed_at)


@dataclass(frozen=True, slots=True)
class PredecessorForDicom:
    """A structured report of the same study that the receiver has, and that is replaced."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str

    def __post_init__(self) -> None:
        for uid in (self.sop_class_uid, self.sop_instance_uid, self.series_instance_uid):
            _require_uid(uid)


@dataclass(frozen=True, slots=True)
class ResultForDicom:
    """One study's result; ``result_id`` changes with its content, so that UIDs follow it.

    ``created_at`` dates the objects and carries the clinic's time zone. With a
    ``signature`` the structured report is verified.
    """

    result_id: UUID
    patient: PatientForDicom
    study: StudyForDicom
    images: tuple[ImageResultForDicom, ...]
    algorithm: AlgorithmForDicom
    created_at: datetime.datetime
    institution: str = ""
    signature: SignatureForDicom | None = None
    predecessors: tuple[PredecessorForDicom, ...] = ()

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError("A result is about at least one image.")
        _require_zone(self.created_at)


@dataclass(frozen=True, slots=True)
class ReportForDicom:
    """A signed report as a PDF; ``report_id`` changes with every signed version."""

    report_id: UUID
    title: str
    pdf: bytes
    signature: SignatureForDicom

    def __post_init__(self) -> None:
        if not self.pdf.startswith(b"%PDF-"):
            raise ValueError("The report is not a PDF.")


def _require_uid(value: str) -> None:
    if not UID(value).is_valid:
        raise ValueError("A DICOM unique identifier is missing or malformed.")


def _require_probability(value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError("A probability lies between 0 and 1.")


def _require_zone(value: datetime.datetime) -> None:
    if value.tzinfo is None:
        raise ValueError("A time needs a time zone.")
