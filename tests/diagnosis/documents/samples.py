"""Report documents for the tests: one complete and valid, to be changed with ``replace``."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from PIL import Image, ImageDraw

from diagnosis.documents.contracts import (
    AiResult,
    Certainty,
    ClinicBlock,
    DocumentStatus,
    PatientBlock,
    Picture,
    PictureBox,
    ReportDocument,
    ReportText,
    Signature,
    StudyBlock,
    Verification,
)
from diagnosis.documents.digest import report_digest

SIGNED_AT = datetime(2026, 3, 4, 10, 2, tzinfo=UTC)


def picture_bytes(
    width: int = 300, height: int = 400, *, mode: str = "L", kind: str = "PNG", **options: Any
) -> bytes:
    """Return an encoded picture with something on it."""
    image = Image.new("L", (width, height), 30)
    ImageDraw.Draw(image).rectangle((width // 3, 0, width // 2, height), fill=200)
    if mode == "I;16":
        image = image.convert("I").point(lambda value: value * 256).convert("I;16")
    else:
        image = image.convert(mode, dither=Image.Dither.NONE)
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def picture(**options: Any) -> Picture:
    """Return one picture with a solid and a dashed box."""
    return Picture(
        content=picture_bytes(**options),
        boxes=(
            PictureBox(100, 150, 60, 50, Certainty.DEFINITE, 0.953, "distal radius"),
            PictureBox(20, 250, 40, 40, Certainty.SUSPICION, 0.41, "ulnar styloid"),
        ),
        caption="PA view",
    )


def document(**changes: Any) -> ReportDocument:
    """Return a signed, complete report."""
    base = ReportDocument(
        clinic=ClinicBlock("Northside Clinic", ("14 Harbour Street", "8001 Zürich")),
        patient=PatientBlock("Müller", "Anna", "A-10233", date(1968, 3, 14), "Female"),
        study=StudyBlock(date(2026, 3, 4), "Fall on the hand. Fracture?", "Wrist, left", "ACC-417"),
        text=ReportText(
            technique="Two planes.",
            comparison="None.",
            findings="Transverse fracture of the distal radius.",
            impression="Displaced fracture.",
            recommendation="Orthopaedic assessment today.",
        ),
        created_at=SIGNED_AT,
        status=DocumentStatus.FINAL,
        pictures=(picture(),),
        ai_result=AiResult(
            "definite", 0.953, 0.28, 0.71, "fracture-detector", "1.2", "3f9c" * 16, "hand"
        ),
        signature=Signature("Dr. Jonas Keller", "Radiologist", SIGNED_AT),
        intended_use="Aids, and does not replace, a clinician.",
        disclaimer="Computed by software from the images alone.",
    )
    return replace(base, **changes)


def with_verification(value: ReportDocument) -> ReportDocument:
    """Return the document with its own digest on it."""
    url = "https://fracture.example/verify/4f6c3f0a"
    return replace(value, verification=Verification(report_digest(value), url))
