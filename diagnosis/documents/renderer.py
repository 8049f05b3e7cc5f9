"""Prints a report document as PDF/A-2a and PDF/UA-1 with typst; no network, no shared files."""

import functools
import io
import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import segno
import typst
from django.utils import translation

from diagnosis.documents.contracts import ReportDocument
from diagnosis.documents.errors import DocumentError
from diagnosis.documents.payload import document_payload, picture_payload
from diagnosis.documents.pictures import embeddable_picture
from diagnosis.documents.text import FONT_FOLDER

PDF_STANDARDS: "list[typst.PDFStandard]" = ["a-2a", "ua-1"]
MAX_PICTURES = 60
MAX_TEXT = 200_000  # characters of written text; far above a real report

_TEMPLATE = Path(__file__).with_name("report.typ")


@functools.cache
def _fonts() -> typst.Fonts:
    # Only ours: with the machine's fonts the same report would differ between two hosts.
    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(FONT_FOLDER)]
    )


@functools.cache
def _template() -> bytes:
    return _TEMPLATE.read_bytes()


def _check(document: ReportDocument) -> None:
    text = document.text
    written = (
        document.study.clinical_question, text.technique, text.comparison, text.findings,
        text.impression, text.recommendation, document.amendment_reason,
    )  # fmt: skip
    if sum(map(len, written)) > MAX_TEXT or len(document.pictures) > MAX_PICTURES:
        raise DocumentError("document_invalid")
    times = [document.created_at]
    if document.signature is not None:
        times.append(document.signature.signed_at)
    if any(moment.tzinfo is None for moment in times):
        raise DocumentError("document_invalid")


def _write_pictures(document: ReportDocument, folder: Path) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for index, picture in enumerate(document.pictures):
        content, suffix, size = embeddable_picture(picture)
        name = f"picture-{index}.{suffix}"
        (folder / name).write_bytes(content)
        written.append(picture_payload(document, index, name, size))
    return written


def _code(url: str) -> str:
    target = io.BytesIO()
    segno.make(url, error="m", micro=False).save(target, kind="svg", border=0, xmldecl=False)
    return target.getvalue().decode("utf-8")


def _payload(document: ReportDocument, folder: Path) -> dict[str, Any]:
    with translation.override(document.language):
        payload = document_payload(document)
        payload["pictures"] = _write_pictures(document, folder)
    if document.verification is not None:
        payload["verification"]["code"] = _code(document.verification.url)
    return payload


def render_report(document: ReportDocument) -> bytes:
    """Return the report as PDF bytes; the same document always gives the same bytes.

    Text travels as JSON and is printed as it stands: nothing in it is read as markup. The compiler
    sees one private folder that holds the pictures and is gone afterwards.

    Raises:
        DocumentError: the document cannot be printed; its ``code`` says why.
    """
    _check(document)
    with tempfile.TemporaryDirectory(prefix="report-") as name:
        payload = _payload(document, Path(name))
        return _compiled(_template(), payload, folder=name, at=document.created_at)


def render_plain(template: bytes, payload: Mapping[str, Any], *, at: datetime) -> bytes:
    """Return a document without pictures as PDF bytes; all text of the payload is printable.

    Raises:
        DocumentError: ``document_render_failed``.
    """
    with tempfile.TemporaryDirectory(prefix="document-") as name:
        return _compiled(template, payload, folder=name, at=at)


def _compiled(template: bytes, payload: Mapping[str, Any], *, folder: str, at: datetime) -> bytes:
    try:
        compiler = typst.Compiler(
            template,
            root=folder,
            font_paths=_fonts(),
            ignore_system_fonts=True,
            sys_inputs={"data": json.dumps(payload)},
        )
        result = compiler.compile(
            format="pdf",
            pdf_standards=PDF_STANDARDS,
            timestamp=at.astimezone(UTC).replace(microsecond=0),
        )
    except typst.TypstError:
        # The compiler's message may quote the patient's text: it goes into no log.
        raise DocumentError("document_render_failed") from None
    if not isinstance(result, bytes):
        raise DocumentError("document_render_failed")
    return result
