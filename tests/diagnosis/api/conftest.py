"""People of two clinics with API clients, and one of everything in the first clinic."""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from PIL import Image
from rest_framework.test import APIClient

from accounts.models import ApiToken, Membership, Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Study
from diagnosis.services.report_basis import report_basis
from diagnosis.services.study_results import study_refresh
from diagnosis.storage import object_put
from tests.factories import (
    AlertFactory,
    AnalysisFactory,
    AnnotationFactory,
    ApiTokenFactory,
    ClinicFactory,
    DeliveryFactory,
    DestinationFactory,
    DiscrepancyFactory,
    ErasureFactory,
    FindingFactory,
    MembershipFactory,
    PatientExportFactory,
    PatientFactory,
    RecallTaskFactory,
    ReportFactory,
    ReportVersionFactory,
    ResumableUploadFactory,
    StudyFactory,
    StudyImageFactory,
    StudyKeyImageFactory,
    TextMacroFactory,
)

API = "/api/v1/"


class Client(APIClient):
    """Reads files to their end, which closes them; a bug answers 500 as it does for people."""

    def __init__(self, **options: Any) -> None:
        super().__init__(raise_request_exception=False, **options)

    def request(self, **kwargs: Any) -> Any:
        response = super().request(**kwargs)
        if response.streaming:
            response.received = b"".join(response.streaming_content)
        return response


@dataclass
class Person:
    """A member with a client that sends their token."""

    membership: Membership
    client: Client

    @property
    def user(self):
        return self.membership.user


def client_of(membership: Membership, scope: str = ApiToken.Scope.WRITE) -> Client:
    token = ApiTokenFactory(membership=membership, scope=scope)
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token.secret}")
    return client


def person(clinic, *roles: str, scope: str = ApiToken.Scope.WRITE) -> Person:
    membership = MembershipFactory(clinic=clinic, roles=list(roles))
    return Person(membership, client_of(membership, scope))


@pytest.fixture
def clinic(db):
    return ClinicFactory()


@pytest.fixture
def doctor(clinic) -> Person:
    return person(clinic, Role.DOCTOR)


@pytest.fixture
def technician(clinic) -> Person:
    return person(clinic, Role.TECHNICIAN)


@pytest.fixture
def admin(clinic) -> Person:
    return person(clinic, Role.CLINIC_ADMIN)


@pytest.fixture
def everything(clinic) -> Person:
    """Hold all roles, as a solo practitioner does."""
    return person(clinic, *Role.values)


@pytest.fixture
def stranger(db) -> Person:
    return person(ClinicFactory(), *Role.values)


@pytest.fixture
def nobody(db) -> Client:
    return Client()


def _picture(file_format: str) -> bytes:
    buffer = BytesIO()
    Image.new("L", (400, 500)).save(buffer, file_format)
    return buffer.getvalue()


JPEG = _picture("JPEG")
SERVED = _picture("PNG")


def stored(kind: str, content_type: str, data: bytes = JPEG) -> str:
    return object_put(data=data, kind=kind, content_type=content_type)


def world_of(clinic, author) -> SimpleNamespace:
    """Make one of everything, with stored objects and a finished analysis."""
    patient = PatientFactory(clinic=clinic)
    study = StudyFactory(patient=patient)
    image = StudyImageFactory(
        study=study,
        served_key=stored("served", "image/png", SERVED),
        served_sha256=hashlib.sha256(SERVED).hexdigest(),
        rendition_keys=[stored("renditions", "image/jpeg") for _ in range(2)],
        thumbnail_key=stored("thumbnails", "image/jpeg"),
        capture="film_photo",
        photo_key=stored("renditions", "image/jpeg"),
        frame_count=2,
    )
    analysis = AnalysisFactory(
        image=image, succeeded=True, heatmap_key=stored("heatmaps", "image/png", b"heatmap")
    )
    finding = FindingFactory(analysis=analysis)
    report = ReportFactory(study=study)
    alert = AlertFactory(study=study)
    version = ReportVersionFactory(report=report, author=author)
    with clinic_scope(clinic.pk):
        study_refresh(study_id=study.pk)
        version.basis = report_basis(Study.objects.get(pk=study.pk))  # what its writer has seen
        version.save(update_fields=["basis"])
    destination = DestinationFactory(clinic=clinic, port=1)
    delivery = DeliveryFactory(
        study=study, destination=destination, status="failed", error_code="peer_refused",
        finished_at=timezone.now(),
    )  # fmt: skip
    discrepancy = DiscrepancyFactory(study=study)
    return SimpleNamespace(
        discrepancy=discrepancy,
        recall=RecallTaskFactory(discrepancy=discrepancy, opened_by=author),
        annotation=AnnotationFactory(image=image, author=author),
        keyimage=StudyKeyImageFactory(
            image=image, author=author, object_key=stored("keyimages", "image/png", SERVED)
        ),
        macro=TextMacroFactory(clinic=clinic),
        destination=destination,
        delivery=delivery,
        upload=ResumableUploadFactory(study=study, owner=author),
        erasure=ErasureFactory(patient=patient),
        export=PatientExportFactory(
            patient=patient, requested_by=author, object_key=stored("exports", "application/zip")
        ),
        clinic=clinic,
        patient=patient,
        study=study,
        image=image,
        analysis=analysis,
        finding=finding,
        alert=alert,
        report=report,
        version=version,
    )


@pytest.fixture
def world(clinic, doctor) -> SimpleNamespace:
    return world_of(clinic, doctor.user)


@pytest.fixture
def in_clinic(clinic):
    """Return a scope in which the clinic's rows can be read."""
    return lambda: clinic_scope(clinic.pk)
