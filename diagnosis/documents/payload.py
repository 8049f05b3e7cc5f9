"""Turns a document into the plain data that the template prints; all text is cleaned here."""

import math
from datetime import date, datetime
from typing import Any

from django.utils import formats
from django.utils.translation import gettext

from diagnosis.documents.contracts import (
    AiResult,
    Certainty,
    DocumentStatus,
    EarlyAnswer,
    PictureBox,
    ReportDocument,
    Signature,
    Verification,
)
from diagnosis.documents.text import clean_code, clean_line, direction, paragraphs

NOTHING = "\N{EN DASH}"
_VERDICTS = ("definite", "suspicion", "negative", "cannot_assess")


def _date(value: date | datetime | None) -> str:
    if value is None:
        return ""
    return clean_line(formats.date_format(value, "DATE_FORMAT"))


def _date_time(value: datetime) -> str:
    offset = value.strftime("%z")
    zone = f"UTC{offset[:3]}:{offset[3:5]}" if offset else ""
    return clean_line(f"{formats.date_format(value, 'DATETIME_FORMAT')} {zone}")


def _field(label: str, value: str) -> dict[str, str]:
    text = clean_line(value)
    return {"label": clean_line(label), "value": text, "dir": direction(text)}


def _fraction(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return min(max(value, 0.0), 1.0)


def _number(value: float | None) -> str:
    shown = _fraction(value)
    return "" if shown is None else formats.number_format(round(shown, 2), 2)


def verdict_word(verdict: str) -> str:
    """Return the printed word of a verdict; an unknown one is never shown as a clearance."""
    words = {
        "definite": gettext("Fracture"),
        "suspicion": gettext("Suspicion"),
        "negative": gettext("No fracture seen"),
        "cannot_assess": gettext("Cannot assess"),
    }
    return words.get(verdict, words["cannot_assess"])


def _status(document: ReportDocument) -> dict[str, str]:
    words = {
        DocumentStatus.DRAFT: (gettext("Draft, not signed"), gettext("DRAFT")),
        DocumentStatus.PREVIEW: (gettext("Preview, not signed"), gettext("PREVIEW")),
        DocumentStatus.FINAL: (gettext("Final report"), ""),
        DocumentStatus.SUPERSEDED: (
            gettext("Superseded by a later version"),
            gettext("SUPERSEDED"),
        ),
        DocumentStatus.WITHDRAWN: (gettext("Withdrawn, do not use"), gettext("WITHDRAWN")),
    }
    word, watermark = words[document.status]
    return {"word": clean_line(word), "watermark": clean_line(watermark)}


def _facts(document: ReportDocument) -> list[dict[str, str]]:
    patient, study = document.patient, document.study
    name = ", ".join(part for part in (patient.family_name, patient.given_name) if part.strip())
    facts = [
        _field(gettext("Patient"), name),
        _field(gettext("Examination"), study.body_part or gettext("X-ray")),
        _field(gettext("Record number"), patient.record_number),
        _field(gettext("Registered"), _date(study.performed_on)),
        _field(gettext("Date of birth"), _date(patient.birth_date)),
        _field(gettext("Accession number"), study.accession),
        _field(gettext("Sex"), patient.sex),
        _field(gettext("Modality"), study.modality),
    ]
    return [{**fact, "value": fact["value"] or NOTHING} for fact in facts]


def _sections(document: ReportDocument) -> list[dict[str, Any]]:
    text = document.text
    named = (
        ("question", gettext("Clinical question"), document.study.clinical_question),
        ("technique", gettext("Technique"), text.technique),
        ("comparison", gettext("Comparison"), text.comparison),
        ("findings", gettext("Findings"), text.findings),
        ("impression", gettext("Impression"), text.impression),
        ("recommendation", gettext("Recommendation"), text.recommendation),
        (
            "early",
            gettext("Preliminary answers before this report, not the report itself"),
            "\n".join(map(_early_answer, document.early_answers)),
        ),
    )
    sections = [
        {"key": key, "title": clean_line(title), "paragraphs": paragraphs(value)}
        for key, title, value in named
    ]
    return [section for section in sections if section["paragraphs"]]


def _early_answer(early: EarlyAnswer) -> str:
    words = gettext("%(time)s, %(name)s: %(answer)s") % {
        "time": _date_time(early.given_at),
        "name": clean_line(early.author_name),
        "answer": clean_line(early.answer),
    }
    return " · ".join(filter(None, (words, clean_line(early.note))))


def _ai_result(result: AiResult, disclaimer: str) -> dict[str, Any]:
    verdict = result.verdict if result.verdict in _VERDICTS else "cannot_assess"
    # Not being able to assess an image is no statement about a fracture: no bar, no number.
    probability = None if verdict == "cannot_assess" else _fraction(result.probability)
    model = f"{result.model_name} {result.model_version}"
    return {
        "title": clean_line(gettext("Computer-aided detection")),
        "verdict": verdict,
        "word": clean_line(verdict_word(verdict)),
        "region": clean_line(result.region),
        "probability": probability,
        "probability_text": "" if probability is None else _number(probability),
        "probability_label": clean_line(gettext("Probability of a fracture")),
        "ticks": [
            tick
            for tick in (
                _fraction(result.threshold_suspicion),
                _fraction(result.threshold_definite),
            )
            if tick is not None
        ],
        "thresholds": clean_line(
            gettext("thresholds: suspicion %(low)s, fracture %(high)s")
            % {
                "low": _number(result.threshold_suspicion) or NOTHING,
                "high": _number(result.threshold_definite) or NOTHING,
            }
        ),
        "note": clean_line(result.note),
        "model": clean_line(gettext("Model %(model)s") % {"model": model}),
        "sha256": clean_code(result.model_sha256),
        "disclaimer": clean_line(disclaimer),
    }


def _box(box: PictureBox, number: int, size: tuple[int, int]) -> dict[str, Any] | None:
    width, height = size
    edges = (box.x, box.y, box.x + box.width, box.y + box.height)
    if not all(map(math.isfinite, edges)):
        return None
    left, right = (min(max(edge / width, 0.0), 1.0) for edge in (edges[0], edges[2]))
    top, bottom = (min(max(edge / height, 0.0), 1.0) for edge in (edges[1], edges[3]))
    if right <= left or bottom <= top:
        return None
    probability = _number(box.probability)
    return {
        "x": left,
        "y": top,
        "w": right - left,
        "h": bottom - top,
        "dashed": box.certainty is Certainty.SUSPICION,
        "tag": f"{number}" + (f" · {probability}" if probability else ""),
        "legend": clean_line(
            f"{number}  {box.label}"
            + (f"  {probability}" if probability else "")
            + "  "
            + (
                gettext("suspicion")
                if box.certainty is Certainty.SUSPICION
                else gettext("definite")
            )
        ),
    }


def picture_payload(
    document: ReportDocument, index: int, path: str, size: tuple[int, int]
) -> dict[str, Any]:
    """Return one picture: file name in the compiler's folder, shape, boxes as fractions."""
    picture = document.pictures[index]
    caption = clean_line(picture.caption)
    number = gettext("Image %(number)d") % {"number": index + 1}
    boxes = [_box(box, place, size) for place, box in enumerate(picture.boxes, start=1)]
    kept = [box for box in boxes if box is not None]
    return {
        "path": path,
        "ratio": size[0] / size[1],
        "caption": clean_line(f"{number}: {caption}" if caption else number),
        "alt": clean_line(
            gettext("Radiograph %(number)d with %(count)d marked places")
            % {"number": index + 1, "count": len(kept)}
        ),
        "boxes": kept,
    }


def _signature(signature: Signature, document: ReportDocument) -> dict[str, Any]:
    amended = ""
    if document.previous_version is not None:
        amended = gettext("Amends version %(version)d.") % {"version": document.previous_version}
        if document.amendment_reason:
            amended += " " + gettext("Reason: %(reason)s") % {"reason": document.amendment_reason}
    return {
        "name": clean_line(signature.signer_name),
        "dir": direction(clean_line(signature.signer_name)),
        "role": clean_line(signature.role),
        "line": clean_line(
            gettext("Signed electronically on %(time)s") % {"time": _date_time(signature.signed_at)}
        ),
        "version": clean_line(gettext("Version %(version)d") % {"version": document.version}),
        "second": clean_line(
            gettext("Second reader: %(name)s") % {"name": signature.second_signer_name}
        )
        if signature.second_signer_name
        else "",
        "amended": clean_line(amended),
    }


def _verification(verification: Verification) -> dict[str, str]:
    return {
        "title": clean_line(gettext("Verification")),
        "hash": clean_code(verification.sha256),
        "url": clean_code(verification.url),
        "help": clean_line(
            gettext(
                "Scan the code or open the address: it says whether a report with this number was "
                "signed here, and whether there is a newer version."
            )
        ),
        "alt": clean_line(gettext("Code that leads to the verification page")),
    }


def document_payload(document: ReportDocument) -> dict[str, Any]:
    """Return everything but pictures, in the active language, cleaned for print."""
    facts = _facts(document)
    return {
        "language": document.language.split("-")[0].lower() or "en",
        "paper": str(document.paper),
        "title": clean_line(gettext("X-ray report")),
        "status": _status(document),
        "made": clean_line(
            gettext("Printed on %(time)s") % {"time": _date_time(document.created_at)}
        )
        if document.signature is None
        else "",
        "clinic": {
            "name": clean_line(document.clinic.name),
            "lines": [
                {"text": clean_line(line), "dir": direction(line)}
                for line in (*document.clinic.address_lines, *document.clinic.contact_lines)
                if line.strip()
            ],
        },
        "running": clean_line(
            " · ".join(
                (facts[0]["value"], document.patient.record_number, document.study.accession)
            )
        ).strip("· "),
        "facts": facts,
        "sections": _sections(document),
        "ai": _ai_result(document.ai_result, document.disclaimer) if document.ai_result else None,
        "images_title": clean_line(gettext("Images")),
        "signature": _signature(document.signature, document) if document.signature else None,
        "unsigned": clean_line(gettext("This document has not been signed.")),
        "verification": _verification(document.verification) if document.verification else None,
        "intended_use": clean_line(document.intended_use),
        "page": clean_line(gettext("Page")),
        "of": clean_line(gettext("of")),
    }
