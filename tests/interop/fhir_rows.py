"""Unsaved rows of one clinic for conversions that need no database."""

import hashlib
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from accounts.models import AuditEvent
from diagnosis.interop.fhir_base import FhirContext
from diagnosis.interop.fhir_findings import AnalysedImage
from diagnosis.models import (
    Analysis,
    Finding,
    ModelVersion,
    Patient,
    Report,
    ReportVersion,
    Study,
    StudyImage,
)

BASE_URL = "https://fractures.example"
AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
PDF = b"%PDF-1.7 signed"
PDF_SHA256 = hashlib.sha256(PDF).hexdigest()


class Rows:
    """A patient with a study of one image, two findings and a signed report."""

    def __init__(self) -> None:
        self.clinic_id = uuid4()
        self.context = FhirContext(base_url=BASE_URL + "/", clinic_id=self.clinic_id)
        self.patient = Patient(
            clinic_id=self.clinic_id,
            record_number="MRN-7",
            given_name="Ada",
            family_name="Example",
            birth_date=date(1980, 5, 1),
            sex="female",
            updated_at=AT,
        )
        self.study = Study(
            clinic_id=self.clinic_id,
            patient=self.patient,
            clinical_question="Fall on the outstretched hand",
            body_part="wrist",
            side="left",
            accession_number="A-1",
            updated_at=AT,
        )
        self.image = self.another_image()
        self.model = ModelVersion(
            name="fracture-detector",
            version="0.1.0",
            sha256="ab" * 32,
            preprocessing_version="p-1",
            calibration_id="c-1",
            threshold_suspicion=0.2,
            threshold_definite=0.7,
            stage="active",
            created_at=AT,
        )
        self.analysis = Analysis(
            clinic_id=self.clinic_id,
            image=self.image,
            model_version=self.model,
            status="succeeded",
            verdict="definite",
            probability=0.91,
            region="wrist",
            finished_at=AT,
        )
        self.findings = [self.finding(0.91, "definite"), self.finding(0.35, "suspicion")]
        self.report = Report(clinic_id=self.clinic_id, study=self.study)

    @property
    def analysed(self) -> AnalysedImage:
        return AnalysedImage(study=self.study, image=self.image, analysis=self.analysis)

    def another_image(self, **values: Any) -> StudyImage:
        return StudyImage(
            **{
                "clinic_id": self.clinic_id,
                "study": self.study,
                "width": 400,
                "height": 500,
                "original_key": "originals/secret-key",
                "sha256": "cd" * 32,
            }
            | values
        )

    def finding(self, probability: float, certainty: str) -> Finding:
        return Finding(
            clinic_id=self.clinic_id,
            analysis=self.analysis,
            x=10.5,
            y=20.0,
            width=30.0,
            height=40.0,
            probability=probability,
            certainty=certainty,
        )

    def draft(self, **values: Any) -> ReportVersion:
        return ReportVersion(
            **{
                "clinic_id": self.clinic_id,
                "report": self.report,
                "author_id": uuid4(),
                "impression": "Distal radius fracture.",
                "recommendation": "Cast.",
                "updated_at": AT,
            }
            | values
        )

    def signed(self, **values: Any) -> ReportVersion:
        return self.draft(
            **{
                "status": "signed",
                "signed_by_id": uuid4(),
                "signer_name": "Dr. Grace Reader",
                "signed_at": AT,
                "content_sha256": "ef" * 32,
                "pdf_sha256": PDF_SHA256,
                "pdf_key": "reports/secret-key.pdf",
            }
            | values
        )

    def event(self, **values: Any) -> AuditEvent:
        return AuditEvent(
            **{
                "id": 42,
                "at": AT,
                "clinic_id": self.clinic_id,
                "actor_id": uuid4(),
                "action": "patient.update",
                "target_type": "diagnosis.patient",
                "target_id": self.patient.pk,
                "patient_id": self.patient.pk,
                "details": {"fields": ["family_name"], "note": "Example"},
            }
            | values
        )


def uid_identifier(value: UUID) -> dict[str, str]:
    return {"system": "urn:dicom:uid", "value": f"urn:oid:2.25.{value.int}"}
