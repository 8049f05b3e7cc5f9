"""Typed factories: valid by default, states as traits, the clinic derived from the parent."""

import hashlib
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from accounts.models import ApiToken, Clinic, Membership, Role, User
from accounts.selectors import secret_hash
from accounts.tenancy import clinic_scope
from diagnosis.models import (
    Alert,
    AlertRecipient,
    Analysis,
    Annotation,
    Content,
    Delivery,
    Destination,
    Device,
    Discrepancy,
    DraftCopy,
    Erasure,
    Event,
    Finding,
    FindingReview,
    FirstRead,
    Hl7Message,
    Hl7Sender,
    MindChange,
    ModelVersion,
    Order,
    Patient,
    PatientExport,
    PreliminaryRead,
    PriorFetch,
    RecallContact,
    RecallTask,
    Report,
    ReportVersion,
    ReportWithdrawal,
    ResumableUpload,
    RetentionHold,
    SecondReading,
    ShadowRun,
    ShareComment,
    Study,
    StudyClaim,
    StudyImage,
    StudyKeyImage,
    StudyShare,
    TextMacro,
)

T = TypeVar("T")
PASSWORD = "correct-horse-battery"


class ClinicFactory(DjangoModelFactory[Clinic]):
    class Meta:
        model = Clinic

    name = factory.Sequence(lambda n: f"Clinic {n}")


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User

    email = factory.Sequence(lambda n: f"person{n}@clinic.example")
    full_name = factory.Sequence(lambda n: f"Person {n}")

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        user = User.objects.create_user(password=kwargs.pop("password", PASSWORD), **kwargs)
        user.emailaddress_set.create(email=user.email, verified=True, primary=True)
        return user


class MembershipFactory(DjangoModelFactory[Membership]):
    class Meta:
        model = Membership

    class Params:
        technician = factory.Trait(roles=[Role.TECHNICIAN])
        doctor = factory.Trait(roles=[Role.DOCTOR])
        clinic_admin = factory.Trait(roles=[Role.CLINIC_ADMIN])

    user = factory.SubFactory(UserFactory)
    clinic = factory.SubFactory(ClinicFactory)
    roles = [Role.DOCTOR]


class ApiTokenFactory(DjangoModelFactory[ApiToken]):
    """``ApiTokenFactory(secret="…")``: the plain secret stays on the object as ``.secret``."""

    class Meta:
        model = ApiToken

    membership = factory.SubFactory(MembershipFactory)
    name = "Test token"
    scope = ApiToken.Scope.WRITE
    prefix = "fs_test"

    @classmethod
    def _create(cls, model_class: type[ApiToken], *args: Any, **kwargs: Any) -> ApiToken:
        secret = kwargs.pop("secret", f"fs_{uuid4().hex}{uuid4().hex}")
        token = super()._create(model_class, *args, token_hash=secret_hash(secret), **kwargs)
        token.secret = secret
        return token


class ClinicOwnedFactory(DjangoModelFactory[T]):
    """Inserts within the scope of the row's own clinic, as row-level security demands."""

    class Meta:
        abstract = True

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> T:
        with clinic_scope(kwargs["clinic"].pk):
            return super()._create(model_class, *args, **kwargs)


class PatientFactory(ClinicOwnedFactory[Patient]):
    class Meta:
        model = Patient

    clinic = factory.SubFactory(ClinicFactory)
    record_number = factory.Sequence(lambda n: f"MRN-{n}")
    given_name = "Ada"
    family_name = factory.Sequence(lambda n: f"Example{n}")


class StudyFactory(ClinicOwnedFactory[Study]):
    class Meta:
        model = Study

    patient = factory.SubFactory(PatientFactory)
    clinic = factory.SelfAttribute("patient.clinic")
    clinical_question = "Fall on the outstretched hand"


class StudyImageFactory(ClinicOwnedFactory[StudyImage]):
    """A row without stored objects; upload a real file where pixels matter."""

    class Meta:
        model = StudyImage

    study = factory.SubFactory(StudyFactory)
    clinic = factory.SelfAttribute("study.clinic")
    sha256 = factory.LazyFunction(lambda: hashlib.sha256(uuid4().bytes).hexdigest())
    size_bytes = 1000
    format = "png"
    original_key = factory.LazyFunction(lambda: f"originals/{uuid4()}")
    served_key = factory.LazyFunction(lambda: f"served/{uuid4()}.png")
    served_sha256 = factory.LazyFunction(lambda: hashlib.sha256(uuid4().bytes).hexdigest())
    served_content_type = "image/png"
    rendition_keys = factory.LazyFunction(lambda: [f"renditions/{uuid4()}.jpg"])
    thumbnail_key = factory.LazyFunction(lambda: f"thumbnails/{uuid4()}.jpg")
    width = 400
    height = 500
    bits = 8


class AlertFactory(ClinicOwnedFactory[Alert]):
    class Meta:
        model = Alert

    study = factory.SubFactory(StudyFactory)
    clinic = factory.SelfAttribute("study.clinic")


class AlertRecipientFactory(ClinicOwnedFactory[AlertRecipient]):
    class Meta:
        model = AlertRecipient

    alert = factory.SubFactory(AlertFactory)
    clinic = factory.SelfAttribute("alert.clinic")
    user = factory.SubFactory(UserFactory)
    level = 0


class StudyShareFactory(ClinicOwnedFactory[StudyShare]):
    class Meta:
        model = StudyShare

    study = factory.SubFactory(StudyFactory)
    clinic = factory.SelfAttribute("study.clinic")
    created_by = factory.SubFactory(UserFactory)
    token_hash = factory.LazyFunction(lambda: secret_hash(uuid4().hex))
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(days=7))


class ShareCommentFactory(ClinicOwnedFactory[ShareComment]):
    class Meta:
        model = ShareComment

    share = factory.SubFactory(StudyShareFactory)
    clinic = factory.SelfAttribute("share.clinic")
    author_name = "Dr. Elsewhere"
    text = "No fracture."


class StudyClaimFactory(ClinicOwnedFactory[StudyClaim]):
    class Meta:
        model = StudyClaim

    study = factory.SubFactory(StudyFactory)
    clinic = factory.SelfAttribute("study.clinic")
    doctor = factory.SubFactory(UserFactory)


class ResumableUploadFactory(ClinicOwnedFactory[ResumableUpload]):
    """A file of which nothing has arrived yet."""

    class Meta:
        model = ResumableUpload

    study = factory.SubFactory(StudyFactory)
    clinic = factory.SelfAttribute("study.clinic")
    owner = factory.SubFactory(UserFactory)
    length = 4
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(hours=1))


class ModelVersionFactory(DjangoModelFactory[ModelVersion]):
    class Meta:
        model = ModelVersion

    name = "fracture-detector"
    version = factory.Sequence(lambda n: f"0.0.{n}")
    sha256 = factory.LazyFunction(lambda: hashlib.sha256(uuid4().bytes).hexdigest())
    preprocessing_version = "test-1"
    calibration_id = "test-1"
    threshold_suspicion = 0.2
    threshold_definite = 0.7
    modalities = ("CR", "DX", "SC", "RG", "photo")


class AnalysisFactory(ClinicOwnedFactory[Analysis]):
    class Meta:
        model = Analysis

    class Params:
        running = factory.Trait(
            status=Analysis.Status.RUNNING,
            attempts=1,
            token=factory.LazyFunction(uuid4),
            started_at=factory.LazyFunction(timezone.now),
            lease_expires_at=factory.LazyFunction(timezone.now),
        )
        succeeded = factory.Trait(
            status=Analysis.Status.SUCCEEDED,
            attempts=1,
            finished_at=factory.LazyFunction(timezone.now),
            model_version=factory.SubFactory(ModelVersionFactory),
            verdict="definite",
            probability=0.9,
            region="hand_arm",
            thresholds={"suspicion": 0.2, "definite": 0.7},
        )
        failed = factory.Trait(
            status=Analysis.Status.FAILED,
            attempts=3,
            finished_at=factory.LazyFunction(timezone.now),
            error_code="internal",
        )

    image = factory.SubFactory(StudyImageFactory)
    clinic = factory.SelfAttribute("image.clinic")


class ShadowRunFactory(ClinicOwnedFactory[ShadowRun]):
    class Meta:
        model = ShadowRun

    analysis = factory.SubFactory(AnalysisFactory, succeeded=True)
    image = factory.SelfAttribute("analysis.image")
    clinic = factory.SelfAttribute("analysis.clinic")
    model_version = factory.SubFactory(ModelVersionFactory)

    class Params:
        succeeded = factory.Trait(
            status=ShadowRun.Status.SUCCEEDED,
            attempts=1,
            finished_at=factory.LazyFunction(timezone.now),
            verdict="definite",
            probability=0.9,
        )


class FindingFactory(ClinicOwnedFactory[Finding]):
    class Meta:
        model = Finding

    analysis = factory.SubFactory(AnalysisFactory, succeeded=True)
    clinic = factory.SelfAttribute("analysis.clinic")
    x = 10.0
    y = 20.0
    width = 30.0
    height = 40.0
    probability = 0.9
    certainty = Finding.Certainty.DEFINITE


class FindingReviewFactory(ClinicOwnedFactory[FindingReview]):
    class Meta:
        model = FindingReview

    finding = factory.SubFactory(FindingFactory)
    image = factory.SelfAttribute("finding.analysis.image")
    clinic = factory.SelfAttribute("image.clinic")
    uid = factory.SelfAttribute("finding.uid")
    decision = FindingReview.Decision.ACCEPTED
    x = 10.0
    y = 20.0
    width = 30.0
    height = 40.0
    author = factory.SubFactory(UserFactory)


class DeviceFactory(ClinicOwnedFactory[Device]):
    class Meta:
        model = Device

    membership = factory.SubFactory(MembershipFactory, roles=[Role.TECHNICIAN])
    clinic = factory.SelfAttribute("membership.clinic")
    name = factory.Sequence(lambda n: f"Modality {n}")
    ae_title = factory.Sequence(lambda n: f"MODALITY{n}")
    address = "127.0.0.1"


class DestinationFactory(ClinicOwnedFactory[Destination]):
    class Meta:
        model = Destination

    clinic = factory.SubFactory(ClinicFactory)
    name = factory.Sequence(lambda n: f"PACS {n}")
    kind = Destination.Kind.DICOM_CSTORE
    host = "127.0.0.1"
    port = 4242
    called_ae_title = "ORTHANC"
    calling_ae_title = "FRACTURE"
    events = [Event.REPORT_SIGNED]
    contents = [Content.SR]


class PriorFetchFactory(ClinicOwnedFactory[PriorFetch]):
    class Meta:
        model = PriorFetch

    study = factory.SubFactory(StudyFactory)
    clinic = factory.SelfAttribute("study.clinic")
    source = factory.SubFactory(
        DestinationFactory, clinic=factory.SelfAttribute("..clinic"), finds_priors=True
    )
    study_instance_uid = factory.Sequence(lambda n: f"1.2.826.{n}")
    requested_by = factory.SubFactory(UserFactory)


class DeliveryFactory(ClinicOwnedFactory[Delivery]):
    class Meta:
        model = Delivery

    study = factory.SubFactory(StudyFactory)
    clinic = factory.SelfAttribute("study.clinic")
    destination = factory.SubFactory(DestinationFactory, clinic=factory.SelfAttribute("..clinic"))
    event = Event.REPORT_SIGNED
    subject = factory.LazyFunction(lambda: str(uuid4()))
    number = factory.Sequence(lambda n: n + 1)


class ReportFactory(ClinicOwnedFactory[Report]):
    class Meta:
        model = Report

    study = factory.SubFactory(StudyFactory)
    clinic = factory.SelfAttribute("study.clinic")


class ReportVersionFactory(ClinicOwnedFactory[ReportVersion]):
    class Meta:
        model = ReportVersion

    report = factory.SubFactory(ReportFactory)
    clinic = factory.SelfAttribute("report.clinic")
    author = factory.SubFactory(UserFactory)
    findings = "No displaced fracture."
    impression = "No fracture seen."


class OrderFactory(ClinicOwnedFactory[Order]):
    class Meta:
        model = Order

    study = factory.SubFactory(StudyFactory)
    clinic = factory.SelfAttribute("study.clinic")
    source = "hl7:RIS|HOSPITAL"
    placer_number = factory.Sequence(lambda n: f"P-{n}")
    told_at = factory.LazyFunction(timezone.now)


class Hl7SenderFactory(ClinicOwnedFactory[Hl7Sender]):
    """A radiology information system on this machine that may also merge patients."""

    class Meta:
        model = Hl7Sender

    clinic = factory.SubFactory(ClinicFactory)
    membership = factory.SubFactory(
        MembershipFactory,
        clinic=factory.SelfAttribute("..clinic"),
        roles=[Role.TECHNICIAN, Role.CLINIC_ADMIN],
    )
    name = "Radiology information system"
    sending_application = "RIS"
    sending_facility = "HOSPITAL"
    networks = ["127.0.0.0/8"]


class Hl7MessageFactory(ClinicOwnedFactory[Hl7Message]):
    class Meta:
        model = Hl7Message

    sender = factory.SubFactory(Hl7SenderFactory)
    clinic = factory.SelfAttribute("sender.clinic")
    control_id = factory.Sequence(lambda n: f"C-{n}")
    content_hmac = "00" * 32
    outcome = "AA"


class AnnotationFactory(ClinicOwnedFactory[Annotation]):
    class Meta:
        model = Annotation

    image = factory.SubFactory(StudyImageFactory)
    clinic = factory.SelfAttribute("image.clinic")
    author = factory.SubFactory(UserFactory)
    kind = Annotation.Kind.LENGTH
    points = factory.LazyFunction(lambda: [[10.0, 20.0], [110.0, 20.0]])


class StudyKeyImageFactory(ClinicOwnedFactory[StudyKeyImage]):
    """A row without a stored object."""

    class Meta:
        model = StudyKeyImage

    image = factory.SubFactory(StudyImageFactory)
    clinic = factory.SelfAttribute("image.clinic")
    author = factory.SubFactory(UserFactory)
    object_key = factory.LazyFunction(lambda: f"keyimages/{uuid4()}.png")
    sha256 = factory.LazyFunction(lambda: hashlib.sha256(uuid4().bytes).hexdigest())
    width = 640
    height = 480


class ErasureFactory(ClinicOwnedFactory[Erasure]):
    """One that the policy plans."""

    class Meta:
        model = Erasure

    patient = factory.SubFactory(PatientFactory)
    clinic = factory.SelfAttribute("patient.clinic")
    source = "policy"
    due_at = factory.LazyFunction(lambda: timezone.now() + timedelta(days=30))


class RetentionHoldFactory(ClinicOwnedFactory[RetentionHold]):
    class Meta:
        model = RetentionHold

    patient = factory.SubFactory(PatientFactory)
    clinic = factory.SelfAttribute("patient.clinic")
    placed_by = factory.SubFactory(UserFactory)
    reason = "Lawsuit"


class PatientExportFactory(ClinicOwnedFactory[PatientExport]):
    """One that is ready; without a stored object."""

    class Meta:
        model = PatientExport

    patient = factory.SubFactory(PatientFactory)
    clinic = factory.SelfAttribute("patient.clinic")
    requested_by = factory.SubFactory(UserFactory)
    status = "succeeded"
    progress = 100
    finished_at = factory.LazyFunction(timezone.now)
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(hours=48))
    object_key = factory.LazyFunction(lambda: f"exports/{uuid4()}.zip")


class DiscrepancyFactory(ClinicOwnedFactory[Discrepancy]):
    class Meta:
        model = Discrepancy

    study = factory.SubFactory(StudyFactory)
    clinic = factory.SelfAttribute("study.clinic")
    kind = "preliminary"
    version_number = 1
    first = "no"
    second = "yes"


class RecallTaskFactory(ClinicOwnedFactory[RecallTask]):
    class Meta:
        model = RecallTask

    discrepancy = factory.SubFactory(DiscrepancyFactory)
    clinic = factory.SelfAttribute("discrepancy.clinic")
    opened_by = factory.SubFactory(UserFactory)


class TextMacroFactory(ClinicOwnedFactory[TextMacro]):
    """The clinic's own; ``owner`` makes it a person's."""

    class Meta:
        model = TextMacro

    clinic = factory.SubFactory(ClinicFactory)
    name = factory.Sequence(lambda n: f"wrist-{n}")
    text = "No fracture of the wrist is seen."


def reading_rows(version: ReportVersion, *, leaves: bool = True) -> None:
    """Make one row of each kind around the reading of a study.

    ``leaves=False`` leaves out what nothing else points to.
    """
    study, who = version.report.study, version.author
    with clinic_scope(version.clinic_id):
        first = FirstRead.objects.create(
            clinic_id=version.clinic_id, study=study, reader=who, answer="yes"
        )
        found = Discrepancy.objects.create(
            clinic_id=version.clinic_id, study=study, kind="readers", version_number=1,
            first="agreed", second="disagreed",
        )  # fmt: skip
        task = RecallTask.objects.create(
            clinic_id=version.clinic_id, discrepancy=found, opened_by=who
        )
        if not leaves:
            return
        own = {"clinic_id": version.clinic_id}
        TextMacro.objects.create(**own, owner=who, name="x", text="x")
        DraftCopy.objects.create(**own, version=version, author=who)
        SecondReading.objects.create(**own, version=version, revision=1, first_reader=who)
        ReportWithdrawal.objects.create(**own, version=version, reason="x", author=who)
        MindChange.objects.create(**own, first=first, version_number=1, final="no", changed=True)
        PreliminaryRead.objects.create(**own, study=study, author=who, answer="no")
        RecallContact.objects.create(
            **own, task=task, author=who, contacted_at=timezone.now(), way="phone",
            result="reached",
        )  # fmt: skip
