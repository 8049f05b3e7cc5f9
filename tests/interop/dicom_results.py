"""Results for the tests of DICOM objects, made up and without a database."""

import datetime
from dataclasses import replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from diagnosis.interop.contracts import (
    AlgorithmForDicom,
    Certainty,
    FindingForDicom,
    ImageResultForDicom,
    ImageVerdict,
    PatientForDicom,
    ReportForDicom,
    ResultForDicom,
    SignatureForDicom,
    SourceImageForDicom,
    StudyForDicom,
)

CREATED_AT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
IMAGE = SourceImageForDicom(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
    sop_instance_uid="1.2.3.4.5",
    series_instance_uid="1.2.3.4",
    rows=200,
    columns=300,
    modality="DX",
    laterality="L",
)
DEFINITE = FindingForDicom(UUID(int=11), 10, 60, 50, 40, 0.874, Certainty.DEFINITE)
SUSPICION = FindingForDicom(UUID(int=22), 150, 120, 60, 50, 0.41, Certainty.SUSPICION)
SIGNATURE = SignatureForDicom(
    "Ångström^Åsa", "Klinik Süd", CREATED_AT + datetime.timedelta(hours=1)
)
REPORT = ReportForDicom(UUID(int=7), "Report", b"%PDF-1.7\nodd\n%%EOF", SIGNATURE)


def item(**changes: object) -> ImageResultForDicom:
    """Return one image with one definite and one suspected finding, or as changed."""
    broken = ImageResultForDicom(IMAGE, ImageVerdict.DEFINITE, 0.9, "wrist", (DEFINITE, SUSPICION))
    return replace(broken, **changes)


CLEAN = item(verdict=ImageVerdict.NEGATIVE, probability=0.02, findings=())
CANNOT_ASSESS = item(verdict=ImageVerdict.CANNOT_ASSESS, probability=None, findings=())


def result(*images: ImageResultForDicom, **changes: object) -> ResultForDicom:
    """Return a result of the images, one broken wrist when none is given."""
    made = ResultForDicom(
        result_id=UUID(int=99),
        patient=PatientForDicom("P-1", "Müller^Änne", datetime.date(1980, 1, 2), "F"),
        study=StudyForDicom(
            "1.2.3", "S1", "A-1", datetime.date(2026, 1, 2), datetime.time(2, 0), "Doe^Jo"
        ),
        images=images or (item(),),
        algorithm=AlgorithmForDicom("Limb detector", "1.2.0", "Fracture Site", "site-1"),
        created_at=CREATED_AT,
        institution="Klinik Süd",
    )
    return replace(made, **changes)


def pixels(image: SourceImageForDicom = IMAGE) -> NDArray[np.uint8]:
    """Return grey pixels of the image's size."""
    return np.full((image.rows, image.columns), 90, np.uint8)
