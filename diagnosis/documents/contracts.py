"""What a printed report is made of: frozen values, no models, no markup."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class DocumentStatus(StrEnum):
    """What the document is; everything but ``FINAL`` is printed across each page."""

    DRAFT = "draft"
    PREVIEW = "preview"
    FINAL = "final"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


class Certainty(StrEnum):
    """How a box is drawn: dashed for a suspicion, solid for a definite finding."""

    SUSPICION = "suspicion"
    DEFINITE = "definite"


class PaperSize(StrEnum):
    """Sheet sizes, by the renderer's names."""

    A4 = "a4"
    LETTER = "us-letter"


@dataclass(frozen=True, slots=True)
class ClinicBlock:
    """The letterhead. ``contact_lines`` are printed under the address (phone, e-mail)."""

    name: str
    address_lines: tuple[str, ...] = ()
    contact_lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PatientBlock:
    """Who was examined. ``sex`` is already a word in the document's language."""

    family_name: str
    given_name: str
    record_number: str
    birth_date: date | None = None
    sex: str = ""


@dataclass(frozen=True, slots=True)
class StudyBlock:
    """What was asked. ``body_part`` and ``modality`` are words in the document's language."""

    performed_on: date | datetime | None
    clinical_question: str = ""
    body_part: str = ""
    accession: str = ""
    modality: str = ""


@dataclass(frozen=True, slots=True)
class PictureBox:
    """One finding on one picture, in pixels of that picture, origin top left."""

    x: float
    y: float
    width: float
    height: float
    certainty: Certainty
    probability: float | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One image: bytes of a PNG or JPEG, its boxes, and a caption such as "PA view"."""

    content: bytes
    boxes: tuple[PictureBox, ...] = ()
    caption: str = ""


@dataclass(frozen=True, slots=True)
class ReportText:
    """What the doctor wrote: plain text, paragraphs by empty lines, empty sections left out."""

    technique: str = ""
    comparison: str = ""
    findings: str = ""
    impression: str = ""
    recommendation: str = ""


@dataclass(frozen=True, slots=True)
class AiResult:
    """What the model said, and which model said it.

    ``verdict`` is one of ``negative``, ``suspicion``, ``definite``, ``cannot_assess``.
    """

    verdict: str
    probability: float | None
    threshold_suspicion: float | None
    threshold_definite: float | None
    model_name: str
    model_version: str
    model_sha256: str
    region: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class EarlyAnswer:
    """A preliminary answer that the report replaces. ``answer`` is a word of the language."""

    given_at: datetime
    author_name: str
    answer: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed, in which role, when (aware, in the clinic's time zone), and who agreed."""

    signer_name: str
    role: str
    signed_at: datetime
    second_signer_name: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """How a reader checks the paper: ``report_digest`` and the page to compare it on."""

    sha256: str
    url: str


@dataclass(frozen=True, slots=True)
class ReportDocument:
    """Everything on the paper. The same value always gives the same bytes.

    Attributes:
        created_at: time printed on drafts and put into the PDF; when signed, that time.
        previous_version: number of the signed version that this one amends.
        amendment_reason: why it was amended; printed when ``previous_version`` is set.
        early_answers: preliminary answers, printed as such under what the doctor wrote.
        intended_use: the line in the foot of every page.
        disclaimer: the sentence under the model's result.
        language: language code of labels, dates and numbers.
    """

    clinic: ClinicBlock
    patient: PatientBlock
    study: StudyBlock
    text: ReportText
    created_at: datetime
    status: DocumentStatus = DocumentStatus.DRAFT
    version: int = 1
    previous_version: int | None = None
    amendment_reason: str = ""
    pictures: tuple[Picture, ...] = ()
    ai_result: AiResult | None = None
    early_answers: tuple[EarlyAnswer, ...] = ()
    signature: Signature | None = None
    verification: Verification | None = None
    intended_use: str = ""
    disclaimer: str = ""
    language: str = "en"
    paper: PaperSize = field(default=PaperSize.A4)
