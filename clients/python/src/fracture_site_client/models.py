"""The answers of the site, as generated from its API description by generate.py."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field


class Account(BaseModel):
    """
    The person behind the request.
    """

    email: str = Field(..., title="E-mail address")
    full_name: str
    id: UUID
    title: str


class AlertRecipient(BaseModel):
    """
    Who was told, and when.
    """

    level: int
    told_at: AwareDatetime
    user: UUID


class AmendRequest(BaseModel):
    """
    Why the signed report is amended.
    """

    reason: str


class Analysis(BaseModel):
    """
    One run of the model over one image: the state of the work.
    """

    attempts: int
    created_at: AwareDatetime
    error_code: str
    finished_at: AwareDatetime | None
    id: UUID
    image: UUID
    priority: str
    started_at: AwareDatetime | None
    status: str


class Annotation(BaseModel):
    """
    One measurement or note of the caller; values follow from the points when it is shown.
    """

    created_at: AwareDatetime
    frame: int
    id: UUID
    image: UUID
    kind: str
    millimetres: float | None
    points: list[list[float]]
    revision: int
    text: str
    updated_at: AwareDatetime


class AnnotationDrawRequest(BaseModel):
    """
    What is drawn; an angle has three points, a Cobb angle four, a note one.
    """

    frame: int | None = 0
    kind: str
    millimetres: float | None = Field(
        None, description="True length of the object of a calibration."
    )
    points: list[list[float]]
    text: str | None = ""


class AssignRequestRequest(BaseModel):
    """
    Who shall read the study.
    """

    doctor: UUID | None = Field(..., description="Null for anybody.")


class ClaimRequestRequest(BaseModel):
    """
    Nothing, or from whom the claim is taken over.
    """

    take_over_from: UUID | None = Field(
        None, description="The doctor who holds the claim; see `claim.doctor`."
    )


class Clinic(BaseModel):
    """
    The current clinic.
    """

    id: UUID
    intended_use: str
    name: str
    time_zone: str


class Delivery(BaseModel):
    """
    One promise to send something; `error_code` says why it has failed or still waits.
    """

    attempts: int
    created_at: AwareDatetime
    destination: UUID
    due_at: AwareDatetime
    error_code: str
    event: str
    finished_at: AwareDatetime | None
    id: UUID
    number: int
    sent: list[dict[str, Any]] = Field(..., description="Identifiers of what was sent.")
    started_at: AwareDatetime | None
    status: str
    study: UUID
    subject: str


class Description(BaseModel):
    """
    What a doctor says of the fracture; blank is nothing.
    """

    bone: str | None = None
    displacement: str | None = None
    fracture_type: str | None = Field(None, title="Type")
    laterality: str | None = Field(None, title="Side")
    severity: str | None = None


class Destination(BaseModel):
    """
    A system that gets results. Secrets are written and never read.
    """

    called_ae_title: str | None = Field(None, title="Its AE title")
    calling_ae_title: str | None = Field(None, title="Our AE title")
    contents: list[str] | None = Field(None, description="What is sent.")
    created_at: AwareDatetime
    events: list[str] = Field(..., description="When something is sent.")
    finds_priors: bool | None = Field(None, title="Earlier studies are looked up here")
    host: str | None = None
    id: UUID
    is_enabled: bool | None = Field(None, title="In use")
    kind: str
    name: str
    options: dict[str, str] | None = Field(
        None,
        description="HL7: `sending_facility`, `receiving_application`, `receiving_facility`, `assigning_authority`. Where earlier studies are looked up: `retrieve` (`get` or `move`), `issuer` (of record numbers).",
    )
    port: int | None = None
    url: str | None = Field(None, title="Address")
    use_tls: bool | None = Field(None, title="Encrypted (TLS)")


class DestinationRequest(BaseModel):
    """
    A system that gets results. Secrets are written and never read.
    """

    called_ae_title: str | None = Field(None, title="Its AE title")
    calling_ae_title: str | None = Field(None, title="Our AE title")
    contents: list[str] | None = Field(None, description="What is sent.")
    events: list[str] = Field(..., description="When something is sent.")
    finds_priors: bool | None = Field(None, title="Earlier studies are looked up here")
    host: str | None = None
    is_enabled: bool | None = Field(None, title="In use")
    kind: str
    name: str
    options: dict[str, str] | None = Field(
        None,
        description="HL7: `sending_facility`, `receiving_application`, `receiving_facility`, `assigning_authority`. Where earlier studies are looked up: `retrieve` (`get` or `move`), `issuer` (of record numbers).",
    )
    port: int | None = None
    secrets: dict[str, str] | None = Field(
        None,
        description="`bearer_token`, `signing_key`, `certificate`, `key`, `ca` (PEM); an empty one is forgotten, and all are with another address.",
    )
    url: str | None = Field(None, title="Address")
    use_tls: bool | None = Field(None, title="Encrypted (TLS)")


class DestinationTest(BaseModel):
    """
    Whether a destination answers.
    """

    code: str = Field(..., description="What is wrong; empty when it answers.")
    reached: bool


class DisagreeRequest(BaseModel):
    """
    What the second reader sees otherwise.
    """

    remark: str


class DiscrepancyRateRequest(BaseModel):
    """
    How much it matters.
    """

    severity: str = Field(
        ...,
        description="`minor`, or `major`: it could have harmed the patient, and opens a recall.\n\n* `unrated` - Not rated yet\n* `minor` - Minor\n* `major` - Matters for the patient",
    )


class DiscrepancyResolveRequest(BaseModel):
    """
    What came of it.
    """

    resolution: str


class EraseRequest(BaseModel):
    """
    Which patient, named a second time, why, and the proof of who asks.
    """

    otp: str | None = None
    password: str | None = None
    reason: str
    record_number: str


class Erasure(BaseModel):
    """
    An erasure that is planned (`due_at` lies ahead), under way, done or failed.
    """

    created_at: AwareDatetime
    due_at: AwareDatetime
    emptied_at: AwareDatetime | None
    error_code: str
    finished_at: AwareDatetime | None
    id: UUID
    objects_deleted: int
    patient: UUID
    reason: str
    source: str
    status: str
    studies: int


class Error(BaseModel):
    """
    Every error: a stable code for programs, a sentence for people.
    """

    code: str = Field(..., description="Stable; programs decide by it.")
    detail: str = Field(..., description="A sentence for people, translated.")
    fields: dict[str, str] | None = Field(None, description="Field name to sentence.")


class Finding(BaseModel):
    """
    One place that looks broken; `type` and `displacement` are blank when not told.
    """

    box: list[float] = Field(
        ...,
        description="x, y, width, height in pixels of the original, origin top left.",
    )
    certainty: str
    displacement: str
    id: UUID
    probability: float
    severity: str
    type: str


class FindingAddRequest(BaseModel):
    """
    A place that the AI has not shown.
    """

    bone: str | None = None
    box: list[float] = Field(
        ...,
        description="x, y, width, height in pixels of the original, origin top left.",
    )
    displacement: str | None = None
    fracture_type: str | None = Field(None, title="Type")
    image: UUID
    laterality: str | None = Field(None, title="Side")
    severity: str | None = None


class FindingPlace(BaseModel):
    """
    Where a break is seen: an image and the finding in it.
    """

    finding: UUID
    image: UUID


class FindingRejectRequest(BaseModel):
    """
    Why it is no fracture.
    """

    reason: str
    text: str | None = None


class FinishRequest(BaseModel):
    """
    A signature, and whether a second reader is asked for.
    """

    otp: str | None = None
    password: str | None = None
    second_reader: bool | None = Field(
        None, description="Where the clinic allows it; some reports always have one."
    )


class Held(BaseModel):
    """
    Whether a patient is kept from being erased.
    """

    held: bool


class HoldRequest(BaseModel):
    """
    Why a patient must be kept.
    """

    reason: str


class ImageLinks(BaseModel):
    """
    Addresses of the bytes; `heatmap` is null until a run has drawn one.

    `photo` is the photograph that a film was straightened out of, null for other images.
    """

    file: str
    heatmap: str | None
    photo: str | None
    rendition: str
    thumbnail: str


class ImageMoveRequest(BaseModel):
    """
    Where the image belongs.
    """

    study: UUID = Field(..., description="Id of the study that the image belongs to.")


class KeyImageKeepRequest(BaseModel):
    """
    A PNG and its caption.
    """

    caption: str | None = ""
    file: bytes


class Macro(BaseModel):
    """
    A text that ``.name`` and Tab insert.
    """

    created_at: AwareDatetime
    for_clinic: bool = Field(..., description="Say whether it is everybody's.")
    id: UUID
    name: str
    text: str


class MacroSaveRequest(BaseModel):
    """
    A name and what it inserts.
    """

    for_clinic: bool | None = Field(
        False, description="For everybody in the clinic; clinic administrators only."
    )
    name: str
    text: str


class ModelIdentity(BaseModel):
    """
    Which artifact made a result.
    """

    name: str
    sha256: str
    version: str


class PaginatedDeliveryList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[Delivery]


class PaginatedDestinationList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[Destination]


class PaginatedErasureList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[Erasure]


class PaginatedMacroList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[Macro]


class PatchedDestinationRequest(BaseModel):
    """
    A system that gets results. Secrets are written and never read.
    """

    called_ae_title: str | None = Field(None, title="Its AE title")
    calling_ae_title: str | None = Field(None, title="Our AE title")
    contents: list[str] | None = Field(None, description="What is sent.")
    events: list[str] | None = Field(None, description="When something is sent.")
    finds_priors: bool | None = Field(None, title="Earlier studies are looked up here")
    host: str | None = None
    is_enabled: bool | None = Field(None, title="In use")
    kind: str | None = None
    name: str | None = None
    options: dict[str, str] | None = Field(
        None,
        description="HL7: `sending_facility`, `receiving_application`, `receiving_facility`, `assigning_authority`. Where earlier studies are looked up: `retrieve` (`get` or `move`), `issuer` (of record numbers).",
    )
    port: int | None = None
    secrets: dict[str, str] | None = Field(
        None,
        description="`bearer_token`, `signing_key`, `certificate`, `key`, `ca` (PEM); an empty one is forgotten, and all are with another address.",
    )
    url: str | None = Field(None, title="Address")
    use_tls: bool | None = Field(None, title="Encrypted (TLS)")


class PatchedFindingChangeRequest(BaseModel):
    """
    Another box, or other words; a proposed finding is accepted by that.
    """

    bone: str | None = None
    box: list[float] | None = Field(
        None,
        description="x, y, width, height in pixels of the original, origin top left.",
    )
    displacement: str | None = None
    fracture_type: str | None = Field(None, title="Type")
    laterality: str | None = Field(None, title="Side")
    severity: str | None = None


class PatchedPatientInputRequest(BaseModel):
    """
    What a client says of a patient.
    """

    birth_date: date | None = None
    family_name: str | None = None
    given_name: str | None = None
    record_number: str | None = None
    sex: str | None = None


class PatchedReportUpdateRequest(BaseModel):
    """
    Changes of a draft.
    """

    comparison: str | None = None
    findings: str | None = None
    impression: str | None = None
    recommendation: str | None = None
    technique: str | None = None


class PatchedStudyUpdateRequest(BaseModel):
    """
    Changes of a request; the patient changes by `move` only.
    """

    accession_number: str | None = None
    body_part: str | None = None
    clinical_question: str | None = None
    patient: UUID | None = Field(
        None, description="Accepted when it is the present one; see `move`."
    )
    priority: str | None = None
    side: str | None = None


class Patient(BaseModel):
    """
    A person in the clinic; `merged_into` is set when the record was merged into another.
    """

    birth_date: date | None
    created_at: AwareDatetime
    family_name: str
    given_name: str
    id: UUID
    merged_into: UUID | None
    record_number: str
    sex: str
    updated_at: AwareDatetime


class PatientExport(BaseModel):
    """
    A file with all data of a patient, or the promise of one; `progress` is in percent.
    """

    created_at: AwareDatetime
    downloads: int
    error_code: str
    expires_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    id: UUID
    patient: UUID
    progress: int
    sha256: str
    size_bytes: int
    status: str


class PatientInputRequest(BaseModel):
    """
    What a client says of a patient.
    """

    birth_date: date | None = None
    family_name: str
    given_name: str | None = None
    record_number: str
    sex: str | None = None


class PatientMergeRequest(BaseModel):
    """
    The record that is kept.
    """

    into: UUID = Field(..., description="Id of the patient record that is kept.")


class Person(BaseModel):
    """
    Who did something.
    """

    id: UUID
    name: str


class PixelSpacing(BaseModel):
    """
    Millimetres a pixel; they hold in the `patient` or at the `imager` (the detector).
    """

    column: float
    origin: str
    row: float


class Place(BaseModel):
    """
    A place that the reader marked, in pixels of the image.
    """

    height: float
    image: UUID
    width: float
    x: float
    y: float


class PlaceRequest(BaseModel):
    """
    A place that the reader marked, in pixels of the image.
    """

    height: float
    image: UUID
    width: float
    x: float
    y: float


class PreliminaryRead(BaseModel):
    """
    A quick answer of the treating doctor until the final report, which prints it as such.
    """

    answer: str
    author: Person
    created_at: AwareDatetime
    note: str | None = None


class PreliminaryReadRequest(BaseModel):
    """
    A quick answer of the treating doctor until the final report, which prints it as such.
    """

    answer: str
    note: str | None = None


class RecallCloseRequest(BaseModel):
    """
    How it ended.
    """

    outcome: str


class RecallContact(BaseModel):
    """
    One attempt to reach the patient; never a number or an address.
    """

    author: Person
    contacted_at: AwareDatetime = Field(..., title="When")
    result: str
    way: str = Field(..., title="How")


class RecallContactAddRequest(BaseModel):
    """
    When, how and with what result.
    """

    contacted_at: AwareDatetime
    result: str
    way: str


class ReportCreateRequest(BaseModel):
    """
    A new report; texts that are left out are prefilled from the findings.
    """

    comparison: str | None = None
    findings: str | None = None
    impression: str | None = None
    recommendation: str | None = None
    study: UUID
    technique: str | None = None


class ResultFinding(BaseModel):
    """
    One place in one image of the study.
    """

    box: list[float] = Field(
        ...,
        description="x, y, width, height in pixels of the original, origin top left.",
    )
    certainty: str
    displacement: str
    id: UUID
    probability: float
    severity: str
    type: str


class ResumableUpload(BaseModel):
    """
    What has arrived of a file; `image` is null until it was made.
    """

    expires_at: AwareDatetime
    id: UUID
    image: UUID | None
    length: int
    offset: int
    study: UUID


class RetentionPolicy(BaseModel):
    """
    How long the clinic keeps its patients; `keep_years: null` keeps them for ever.
    """

    grace_days: int
    keep_years: int | None
    minors_until_age: int
    reports_years: int


class RetentionPolicyRequest(BaseModel):
    """
    How long the clinic keeps its patients; `keep_years: null` keeps them for ever.
    """

    grace_days: int
    keep_years: int | None
    minors_until_age: int
    reports_years: int


class SignRequest(BaseModel):
    """
    The signer's password or one-time code.

    Both may be missing for a session that was signed in again in the last two minutes.
    """

    otp: str | None = None
    password: str | None = None


class Signer(BaseModel):
    """
    The signer, with the name as it was when the report was signed.
    """

    id: UUID
    name: str


class Span(BaseModel):
    """
    Whole days by the clinic's clock.
    """

    first: date
    last: date


class StudyAnalyses(BaseModel):
    """
    The runs that were asked for, one an image.
    """

    analyses: list[Analysis]


class StudyClaim(BaseModel):
    """
    A doctor who reads the study now; without activity it ends by itself.
    """

    claimed_at: AwareDatetime
    doctor: UUID
    doctor_name: str
    seen_at: AwareDatetime


class StudyCreateRequest(BaseModel):
    """
    A request for an examination.
    """

    accession_number: str | None = None
    body_part: str | None = None
    clinical_question: str | None = None
    patient: UUID
    priority: str | None = "routine"
    side: str | None = None


class StudyFinding(BaseModel):
    """
    One break of the study; several `places` when two views show the same one.
    """

    certainty: str
    displacement: str
    number: int
    places: list[FindingPlace]
    probability: float
    severity: str
    type: str


class StudyMoveRequest(BaseModel):
    """
    Whose examination it is.
    """

    patient: UUID = Field(..., description="Id of the patient that the study belongs to.")


class StudySummary(BaseModel):
    """
    A study as lists show it; everything from `status` on is derived.
    """

    accession_number: str
    body_part: str
    clinical_question: str
    created_at: AwareDatetime
    id: UUID
    new_image_after_report: bool
    patient: UUID
    priority: str
    probability: float | None
    region: str
    severity: str
    side: str
    status: str
    updated_at: AwareDatetime
    verdict: str = Field(
        ...,
        description="Blank until analysed.\n\n* `definite` - Fracture\n* `suspicion` - Suspicion\n* `negative` - No fracture seen\n* `cannot_assess` - Cannot assess",
    )


class Suggestion(BaseModel):
    """
    The AI's experimental readings that no doctor has replaced.
    """

    displacement: str
    fracture_type: str
    severity: str


class Table(BaseModel):
    """
    The figures of one chart.
    """

    columns: list[str]
    key: str
    rows: list[list[str | float | None]] = Field(
        ...,
        description="Each row's cells in the order of `columns`; null where there is no figure.",
    )


class Thresholds(BaseModel):
    """
    From which probability on a verdict is a suspicion, and definite.
    """

    definite: float
    suspicion: float


class Token(BaseModel):
    """
    The token of this request; `read` allows safe methods only.
    """

    id: UUID
    name: str
    scope: str


class UploadRequest(BaseModel):
    """
    One radiograph; what is in it decides, not its name or declared type.
    """

    capture: str | None = Field(
        None,
        description="`film_photo`: the file (JPEG or PNG) is a photograph of a film on a light box. It is checked, straightened and marked; the photograph stays beside it.\n\n* `film_photo` - film_photo",
    )
    corners: str | None = Field(
        None,
        description="With `film_photo`: JSON, the film's four corners `[x, y]` as shares of the photograph's width and height. Left out: the server looks for them.",
    )
    file: bytes = Field(..., description="PNG, JPEG, TIFF or DICOM; up to the site's limit.")


class UrgencyPart(BaseModel):
    """
    One addend of the rank.
    """

    code: str = Field(..., description="Stable: `priority_stat`, `verdict_definite`, …")
    points: float


class WithdrawRequest(BaseModel):
    """
    Why the signed report must not be used.
    """

    otp: str | None = None
    password: str | None = None
    reason: str


class Alert(BaseModel):
    """
    A result that named people must know of, and who has answered.
    """

    acknowledged_at: AwareDatetime | None
    acknowledged_by: UUID | None = Field(..., description="Null until somebody answers.")
    created_at: AwareDatetime
    id: UUID
    level: int
    next_at: AwareDatetime | None
    patient: UUID
    read_first: bool = Field(
        ...,
        description="The caller has to answer for themselves before they may know what it is about.",
    )
    recipients: list[AlertRecipient]
    study: UUID


class AuditEvent(BaseModel):
    """
    Who did or read what; ids and states only. `actor` is null for the system itself.
    """

    action: str
    actor: Person | None
    at: AwareDatetime
    details: Any
    id: int
    outcome: str
    patient: UUID | None
    target: UUID | None
    target_type: str
    token: UUID | None


class Dashboard(BaseModel):
    """
    Counts and rates of one clinic; nothing of a patient.

    A rate of fewer than `minimum_cases` cases is null, its counts stay. Intervals are 95 %.
    """

    baseline: Span
    minimum_cases: int
    period: Span
    step: str
    studies: int
    tables: list[Table]


class Discrepancy(BaseModel):
    """
    Two answers to one study that differ; open until somebody says what came of it.
    """

    created_at: AwareDatetime
    first: str
    id: UUID
    kind: str
    patient: UUID
    recall: UUID | None = Field(..., description="The patient's recall, if there is one.")
    remark: str
    resolution: str
    resolved_at: AwareDatetime | None
    resolved_by: Person | None
    second: str
    severity: str
    study: UUID
    version: int = Field(..., description="Of the report that was signed.")


class FindingReview(BaseModel):
    """
    One decision about a finding.
    """

    author: Person
    bone: str
    box: list[float] = Field(
        ...,
        description="x, y, width, height in pixels of the original, origin top left.",
    )
    created_at: AwareDatetime
    decision: str
    displacement: str
    fracture_type: str = Field(..., title="Type")
    laterality: str = Field(..., title="Side")
    number: int
    reject_reason: str = Field(..., title="Reason")
    reject_text: str = Field(..., title="Remark")
    severity: str


class FirstRead(BaseModel):
    """
    Is there a fracture, and where.
    """

    answer: str
    created_at: AwareDatetime
    places: list[Place] | None = None


class FirstReadRequest(BaseModel):
    """
    Is there a fracture, and where.
    """

    answer: str
    places: list[PlaceRequest] | None = None


class ImageResult(BaseModel):
    """
    The newest finished run over one image; `reasons` say why it cannot be assessed.
    """

    analysis: UUID
    findings: list[Finding]
    model: ModelIdentity
    probability: float | None = Field(
        ..., description="Calibrated probability of a fracture, 0 to 1"
    )
    reasons: list[str] = Field(
        ...,
        description="Why it cannot be assessed, stable codes: `too_small`, `blank`, `too_dark`, `too_bright`, `blurred`, `not_a_radiograph`, `wrong_body_part` (chest, skull, spine, abdomen, teeth), `cross_section` (a slice of CT, MR or ultrasound), `no_model_for_modality`.",
    )
    recalled: bool = Field(..., description="The model was recalled.")
    region: str
    severity: str
    thresholds: Thresholds
    timings_ms: dict[str, float]
    verdict: str
    warnings: list[str] = Field(
        ...,
        description="What a reader should know, stable codes; more may be added. `photo_of_film`: judged from a photo of a film or screen, with lower trust; others: `hardware`, `cast`, `truncated_file`, `for_processing`, `window_ignored`, `animation_first_frame`, `pages_skipped`, `transparency_flattened`.",
    )


class KeyImage(BaseModel):
    """
    A picture of the viewer that the report shows.
    """

    author: Person
    caption: str
    created_at: AwareDatetime
    height: int
    id: UUID
    image: UUID
    sha256: str
    width: int


class Me(BaseModel):
    """
    Who is asking, for which clinic, and what they may do there.
    """

    allowed_actions: list[str]
    clinic: Clinic
    membership: UUID
    roles: list[str]
    token: Token | None = Field(..., description="Null for a browser session.")
    user: Account


class ModelVersion(BaseModel):
    """
    A registered model; results keep the version that made them.
    """

    age_max: int | None = Field(..., description="Years, included")
    age_min: int | None = Field(..., description="Years, included")
    body_regions: list[str] = Field(..., description="Body parts of the request; empty covers all")
    calibration_id: str
    created_at: AwareDatetime
    id: UUID
    is_active: bool
    is_recalled: bool = Field(
        ..., description="Results of a recalled version may not be relied on."
    )
    modalities: list[str] = Field(
        ..., description="DICOM modalities; photo is a picture file that names none"
    )
    name: str
    preprocessing_version: str
    sha256: str
    stage: str
    thresholds: Thresholds
    version: str


class PaginatedAlertList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[Alert]


class PaginatedAuditEventList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[AuditEvent]


class PaginatedDiscrepancyList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[Discrepancy]


class PaginatedModelVersionList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[ModelVersion]


class PaginatedPatientList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[Patient]


class PaginatedStudySummaryList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[StudySummary]


class Recall(BaseModel):
    """
    A patient who has to be told; open until somebody has closed it.
    """

    closed_at: AwareDatetime | None
    closed_by: Person | None
    contacts: list[RecallContact]
    created_at: AwareDatetime
    discrepancy: UUID
    id: UUID
    opened_by: Person
    outcome: str
    patient: UUID
    study: UUID


class ReportSummary(BaseModel):
    """
    A row of the list: state and people; the texts are read, and audited, one by one.
    """

    author: Person
    created_at: AwareDatetime
    id: UUID
    reason: str = Field(..., title="Reason for the amendment")
    revision: int
    second_signed_by: Signer | None
    signed_at: AwareDatetime | None
    signed_by: Signer | None
    status: str
    study: UUID
    updated_at: AwareDatetime
    verification_hash: str = Field(
        ...,
        description="SHA-256 of the signed content, as printed on the PDF; blank for a draft.",
    )
    version: int
    withdrawn: bool = Field(
        ..., description="Whether this signed version must not be used any more."
    )


class ReportVersion(BaseModel):
    """
    One text of the report: at most one draft; signed ones never change.
    """

    author: Person
    number: int
    reason: str = Field(..., title="Reason for the amendment")
    second_signed_by: Signer | None
    signed_at: AwareDatetime | None
    signed_by: Signer | None
    status: str
    verification_hash: str = Field(
        ...,
        description="SHA-256 of the signed content, as printed on the PDF; blank for a draft.",
    )
    withdrawn: bool = Field(
        ..., description="Whether this signed version must not be used any more."
    )


class ResultImage(BaseModel):
    """
    One image's share of the study's result; `verdict` is null until it is analysed.
    """

    error_code: str
    findings: list[ResultFinding]
    heatmap: bool = Field(..., description="Whether a heatmap was drawn.")
    id: UUID
    model: ModelIdentity | None
    probability: float | None = Field(
        ..., description="Calibrated, 0 to 1; null when the image cannot be assessed."
    )
    reasons: list[str] = Field(
        ...,
        description="Why it cannot be assessed, stable codes: `too_small`, `blank`, `too_dark`, `too_bright`, `blurred`, `not_a_radiograph`, `wrong_body_part` (chest, skull, spine, abdomen, teeth), `cross_section` (a slice of CT, MR or ultrasound), `no_model_for_modality`.",
    )
    region: str
    severity: str
    status: str = Field(..., description="State of its newest run.")
    thresholds: Thresholds | None
    timings_ms: dict[str, float]
    verdict: str | None
    warnings: list[str] = Field(
        ...,
        description="What a reader should know, stable codes; more may be added. `photo_of_film`: judged from a photo of a film or screen, with lower trust; others: `hardware`, `cast`, `truncated_file`, `for_processing`, `window_ignored`, `animation_first_frame`, `pages_skipped`, `transparency_flattened`.",
    )


class ReviewedFinding(BaseModel):
    """
    A finding as it stands: the AI's proposal and the newest decision about it.
    """

    ai: Finding | None = Field(..., description="As the AI made it.")
    box: list[float] = Field(
        ...,
        description="x, y, width, height in pixels of the original, origin top left.",
    )
    certainty: str
    description: Description
    id: UUID = Field(..., description="The AI finding's id, or the uid of an added one.")
    image: UUID
    is_current: bool = Field(..., description="False: from an earlier run, and confirmed.")
    probability: float | None = Field(..., description="The AI's; null when added.")
    review: FindingReview | None = Field(..., description="The newest decision.")
    revision: int = Field(..., description="What a decision must send as `If-Match`.")
    source: str
    state: str
    suggested: Suggestion
    uid: UUID = Field(..., description="Tracking UID that every carrier repeats.")


class StudyResult(BaseModel):
    """
    One verdict over all images of a study, the worst image first.

    Describes what is stored. Further members may be added; clients ignore what
    they do not know.
    """

    findings: list[StudyFinding]
    images: list[ResultImage]
    incomplete: bool = Field(..., description="An image has no result (yet).")
    mixed_models: bool = Field(..., description="Images were read by different models.")
    model: ModelIdentity
    probability: float | None = Field(
        ..., description="Calibrated, 0 to 1; null when the image cannot be assessed."
    )
    probability_of: str = Field(
        ...,
        description="What `probability` belongs to. `highest_image`: the highest of the images, calibrated for one image; with several views it overstates the probability for the study.",
    )
    region: str
    severity: str
    thresholds: Thresholds
    timings_ms: dict[str, float] = Field(..., description="Sum over the images for each stage.")
    urgency_reasons: list[str]
    verdict: str
    version: str = Field(..., description="Version of the rules that made one of many.")


class Urgency(BaseModel):
    """
    The rank on the worklist: the sum of its parts; higher is read first.
    """

    parts: list[UrgencyPart]
    score: float


class FindingDetail(BaseModel):
    """
    With every decision, oldest first.
    """

    ai: Finding | None = Field(..., description="As the AI made it.")
    box: list[float] = Field(
        ...,
        description="x, y, width, height in pixels of the original, origin top left.",
    )
    certainty: str
    description: Description
    history: list[FindingReview]
    id: UUID = Field(..., description="The AI finding's id, or the uid of an added one.")
    image: UUID
    is_current: bool = Field(..., description="False: from an earlier run, and confirmed.")
    probability: float | None = Field(..., description="The AI's; null when added.")
    review: FindingReview | None = Field(..., description="The newest decision.")
    revision: int = Field(..., description="What a decision must send as `If-Match`.")
    source: str
    state: str
    suggested: Suggestion
    uid: UUID = Field(..., description="Tracking UID that every carrier repeats.")


class Image(BaseModel):
    """
    One stored image, the state of its newest run and its newest result.
    """

    analysis: Analysis | None
    bits: int
    body_part_examined: str
    capture: str
    created_at: AwareDatetime
    format: str
    frame_count: int
    height: int
    id: UUID
    laterality: str
    links: ImageLinks
    modality: str
    pixel_spacing: PixelSpacing | None
    position: int
    result: ImageResult | None
    sha256: str
    size_bytes: int
    study: UUID
    view_position: str
    warnings: list[str]
    width: int


class PaginatedRecallList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[Recall]


class PaginatedReportSummaryList(BaseModel):
    next: str | None = Field(
        ...,
        description="Address of the next page, null when there is none.",
        examples=["https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"],
    )
    previous: str | None = Field(
        ...,
        description="Address of the previous page, null when there is none.",
        examples=[None],
    )
    results: list[ReportSummary]


class Report(BaseModel):
    """
    A study's report: its newest version in full, and what came before.
    """

    author: Person
    comparison: str
    created_at: AwareDatetime
    findings: str
    id: UUID
    impression: str
    reason: str = Field(..., title="Reason for the amendment")
    recalled: bool = Field(
        ...,
        description="The newest signed version rests on a recalled model: judge it anew.",
    )
    recommendation: str
    revision: int
    second_signed_by: Signer | None
    signed_at: AwareDatetime | None
    signed_by: Signer | None
    status: str
    study: UUID
    technique: str
    updated_at: AwareDatetime
    verification_hash: str = Field(
        ...,
        description="SHA-256 of the signed content, as printed on the PDF; blank for a draft.",
    )
    version: int
    versions: list[ReportVersion]
    withdrawn: bool = Field(
        ..., description="Whether this signed version must not be used any more."
    )


class Study(BaseModel):
    """
    A study with its images, the AI's result and the id of its report.
    """

    accession_number: str
    assigned_to: UUID | None = Field(..., description="Who shall read it, null for anybody.")
    body_part: str
    claim: StudyClaim | None = Field(..., description="Who reads it now, null for nobody.")
    clinical_question: str
    created_at: AwareDatetime
    id: UUID
    images: list[Image]
    new_image_after_report: bool
    patient: UUID
    priority: str
    probability: float | None
    recalled: bool = Field(
        ...,
        description="The result or the signed report rests on a recalled model: do not rely on it.",
    )
    region: str
    report: UUID | None = Field(..., description="Id of the report, null without one.")
    result: StudyResult | None = Field(..., description="Null until an image was analysed.")
    severity: str
    side: str
    status: str
    updated_at: AwareDatetime
    urgency: Urgency = Field(..., description="Its rank on the worklist, explained.")
    verdict: str = Field(
        ...,
        description="Blank until analysed.\n\n* `definite` - Fracture\n* `suspicion` - Suspicion\n* `negative` - No fracture seen\n* `cannot_assess` - Cannot assess",
    )
    warnings: list[str] = Field(..., description="What does not fit together.")
