"""What the AI found, as FHIR Observation: one an image, one a finding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fhir.resources.R4B.observation import Observation as FhirObservation

from diagnosis.interop.dicom_identity import image_uid
from diagnosis.interop.fhir_base import (
    SNOMED,
    TERMINOLOGY,
    FhirContext,
    Json,
    ai_asserted,
    coding,
    compact,
    concept,
    dicom_uid,
    dicom_uid_identifier,
    instant,
    model_recalled,
    quantity,
    reference,
    require_clinic,
    require_link,
)
from diagnosis.interop.fhir_imaging import body_site_text, image_side
from diagnosis.models import Analysis, Finding, Study, StudyImage, Verdict
from diagnosis.models.regions import region_label

_RECALLED = "The AI model version that made this was recalled: do not rely on it."
_INTERPRETATIONS = {
    "definite": ("POS", "Positive", "Fracture"),
    "suspicion": ("IND", "Indeterminate", "Suspicion of a fracture"),
    "negative": ("NEG", "Negative", "No fracture seen"),
}


@dataclass(frozen=True, slots=True)
class AnalysedImage:
    """One succeeded analysis with the rows around it.

    Attributes:
        study: The study of the image.
        image: The image.
        analysis: The run over it, with its result.
        signed_at: When a report was signed that knew this result; ``None`` while none was.
        started: When the images were taken, if that is known.
    """

    study: Study
    image: StudyImage
    analysis: Analysis
    signed_at: datetime | None = None
    started: datetime | None = None


def fhir_finding_observation(
    context: FhirContext, analysed: AnalysedImage, finding: Finding
) -> FhirObservation:
    """Return one finding: its probability, certainty, place in the body and in the image.

    Raises:
        ValueError: the rows do not belong together, or to another clinic.
    """
    require_clinic(context, finding)
    require_link(child=finding.analysis_id, parent=analysed.analysis.pk)
    return FhirObservation.model_validate(
        compact(
            _observation(context, analysed, key=finding.pk)
            | {
                "identifier": [dicom_uid_identifier(dicom_uid(finding.uid))],
                "code": _fracture(context),
                "valueQuantity": quantity(finding.probability, "1", "1"),
                "interpretation": _interpretation(context, finding.certainty),
                "component": _box(context, analysed.image, finding),
            }
        )
    )


def fhir_image_observation(
    context: FhirContext, analysed: AnalysedImage, findings: Sequence[Finding]
) -> FhirObservation:
    """Return what the AI says of one image as a whole; its members are the findings.

    An image that could not be assessed has no value and says why; that is never a negative.

    Raises:
        ValueError: the analysis has no result, or the rows do not belong together.
    """
    analysis = analysed.analysis
    require_clinic(context, *findings)
    for finding in findings:
        require_link(child=finding.analysis_id, parent=analysis.pk)
    answer: Json
    if analysis.verdict == Verdict.CANNOT_ASSESS:
        answer = {"dataAbsentReason": _absent(context, analysis.reasons)}
    elif analysis.verdict in _INTERPRETATIONS and analysis.probability is not None:
        answer = {
            "valueQuantity": quantity(analysis.probability, "1", "1"),
            "interpretation": _interpretation(context, analysis.verdict),
        }
    else:
        raise ValueError("an analysis without result")
    return FhirObservation.model_validate(
        compact(
            _observation(context, analysed, key=analysis.pk)
            | answer
            | {
                "code": concept(
                    coding(context.code_system("observation"), "fracture-in-image"),
                    text="Fracture anywhere in the image",
                ),
                "hasMember": [reference("Observation", finding.pk) for finding in findings],
                "component": _image_component(context, analysed.image),
            }
        )
    )


def _observation(context: FhirContext, analysed: AnalysedImage, *, key: UUID) -> Json:
    """Return the elements that all observations of one analysis share."""
    study, image, analysis = analysed.study, analysed.image, analysed.analysis
    require_clinic(context, study, image, analysis)
    require_link(child=image.study_id, parent=study.pk)
    require_link(child=analysis.image_id, parent=image.pk)
    if analysis.finished_at is None or analysis.model_version_id is None:
        raise ValueError("an analysis without result")
    signed_at, started = analysed.signed_at, analysed.started
    model = analysis.model_version
    recalled_at = model.recalled_at if model else None
    told = [signed_at or analysis.finished_at, *([recalled_at] if recalled_at else [])]
    part = study.get_body_part_display() or region_label(analysis.region)
    site = body_site_text(part, image_side(image, study))
    return {
        "id": str(key),
        "meta": {
            "lastUpdated": instant(max(told)),
            "security": [ai_asserted()],
            "tag": [model_recalled(context)] if recalled_at else None,
        },
        "status": "final" if signed_at else "preliminary",
        "category": [concept(coding(TERMINOLOGY + "observation-category", "imaging", "Imaging"))],
        "subject": reference("Patient", study.patient_id),
        "effectiveDateTime": instant(started) if started else None,
        "issued": instant(analysis.finished_at),
        "bodySite": concept(text=site) if site else None,
        "method": concept(text="Calibrated probability by an AI model"),
        "device": reference("Device", analysis.model_version_id),
        "derivedFrom": [reference("ImagingStudy", study.pk)],
        "note": [{"text": _RECALLED}] if recalled_at else None,
    }


def _fracture(context: FhirContext) -> Json:
    codings = [coding(context.code_system("observation"), "fracture", "Fracture")]
    if context.snomed:
        codings.append(coding(SNOMED, "125605004", "Fracture of bone"))
    return concept(*codings, text="Fracture")


def _interpretation(context: FhirContext, verdict: str) -> list[Json]:
    code, display, text = _INTERPRETATIONS[verdict]
    return [
        concept(
            coding(TERMINOLOGY + "v3-ObservationInterpretation", code, display),
            coding(context.code_system("verdict"), verdict, text),
            text=text,
        )
    ]


def _absent(context: FhirContext, reasons: Iterable[str]) -> Json:
    named = [coding(context.code_system("cannot-assess-reason"), reason) for reason in reasons]
    return concept(
        coding(TERMINOLOGY + "data-absent-reason", "unknown", "Unknown"),
        *named,
        text="Cannot assess",
    )


def _image_component(context: FhirContext, image: StudyImage) -> list[Json]:
    return [
        {
            "code": concept(
                coding(context.code_system("observation"), "image"), text="SOP Instance UID"
            ),
            "valueString": image_uid(image),
        }
    ]


def _box(context: FhirContext, image: StudyImage, finding: Finding) -> list[Json]:
    """Return the image and the box in it, in pixels from its top left corner."""
    sides = {"x": finding.x, "y": finding.y, "width": finding.width, "height": finding.height}
    return _image_component(context, image) + [
        {
            "code": concept(
                coding(context.code_system("observation"), f"box-{name}"), text=f"Box {name}"
            ),
            "valueQuantity": quantity(value, "pixels", "{pixels}"),
        }
        for name, value in sides.items()
    ]
