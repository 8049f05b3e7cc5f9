"""The printed report: what stands on it, what can never be in it, and that it stays the same."""

import io
import re
from dataclasses import replace

import pytest
from pypdf import PdfReader

from diagnosis.documents.contracts import (
    Certainty,
    DocumentStatus,
    PatientBlock,
    Picture,
    PictureBox,
    ReportText,
)
from diagnosis.documents.digest import report_digest
from diagnosis.documents.errors import DocumentError
from diagnosis.documents.renderer import MAX_PICTURES, render_report
from tests.diagnosis.documents import samples


def printed(pdf: bytes) -> str:
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]
    return re.sub(r"\s+", " ", "\n".join(pages).replace("\u200b", ""))


def page_count(pdf: bytes) -> int:
    return len(PdfReader(io.BytesIO(pdf)).pages)


def pdf_objects(pdf: bytes) -> str:
    """Return every object of the file as text, also those in compressed object streams."""
    reader = PdfReader(io.BytesIO(pdf))
    numbers = {key for table in reader.xref.values() for key in table} | set(reader.xref_objStm)
    return "\n".join(str(reader.get_object(number)) for number in sorted(numbers) if number)


def test_a_signed_report_carries_everything_a_reader_needs() -> None:
    document = samples.with_verification(
        samples.document(version=2, previous_version=1, amendment_reason="side corrected")
    )
    text = printed(render_report(document))

    for expected in (
        "Northside Clinic", "14 Harbour Street", "Müller, Anna", "A-10233", "14 March 1968",
        "Wrist, left", "ACC-417", "Fall on the hand. Fracture?", "Two planes.",
        "Transverse fracture of the distal radius.", "Displaced fracture.",
        "Orthopaedic assessment today.", "Image 1: PA view", "distal radius 0.95 definite",
        "ulnar styloid 0.41 suspicion", "Fracture · hand", "0.28", "0.71",
        "fracture-detector 1.2", "3f9c" * 16, "Computed by software from the images alone.",
        "Dr. Jonas Keller", "Radiologist", "Signed electronically on 4 March 2026, 10:02 UTC+00:00",
        "Version 2", "Amends version 1. Reason: side corrected", "Final report",
        report_digest(document), "https://fracture.example/verify/4f6c3f0a",
        "Aids, and does not replace, a clinician.", "Page 1 of",
    ):  # fmt: skip
        assert expected in text


def test_digest_and_address_can_be_copied_from_the_page() -> None:
    document = samples.with_verification(samples.document())
    pages = PdfReader(io.BytesIO(render_report(document))).pages
    raw = "\n".join(page.extract_text() for page in pages)

    assert report_digest(document) in raw
    assert "3f9c" * 16 in raw
    assert "https://fracture.example/verify/4f6c3f0a" in raw


def test_the_same_document_gives_the_same_bytes() -> None:
    document = samples.with_verification(samples.document())

    assert render_report(document) == render_report(document)


def test_the_file_says_that_it_is_archivable_and_accessible() -> None:
    pdf = render_report(samples.document())

    assert pdf.startswith(b"%PDF-1.7")
    metadata = PdfReader(io.BytesIO(pdf)).xmp_metadata
    assert metadata is not None
    xmp = metadata.stream.get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in xmp
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in xmp
    assert "<pdfuaid:part>1</pdfuaid:part>" in xmp


def test_the_metadata_names_no_patient() -> None:
    reader = PdfReader(io.BytesIO(render_report(samples.document())))

    metadata = reader.xmp_metadata
    assert metadata is not None
    described = metadata.stream.get_data().decode() + str(dict(reader.metadata or {}))
    assert "X-ray report" in described
    for secret in ("Müller", "Anna", "A-10233", "1968"):
        assert secret not in described


def test_the_file_holds_nothing_active() -> None:
    hostile = "https://evil.example/x javascript:alert(1) /JavaScript /Launch"
    document = samples.with_verification(
        samples.document(text=ReportText(findings=hostile, impression=hostile))
    )
    pdf = render_report(document)

    assert "evil.example" in printed(pdf)
    objects = pdf_objects(pdf)
    assert "/Catalog" in objects
    for name in ("/JavaScript", "/JS", "/EmbeddedFile", "/Launch", "/OpenAction", "/AA'", "/URI"):
        assert name not in objects


@pytest.mark.parametrize(
    "hostile",
    [
        '#read("/etc/passwd")',
        "*bold* _slant_ $x^2$ `raw` = heading",
        '\\" #image("picture-0.png") <label> @label',
        "#panic() // comment /* block",
        '"}], "ai": null, "x": [{"',
        "<script>alert(1)</script> & &amp; %s {0} {{ x }}",
    ],
)
def test_markup_in_any_field_is_printed_as_it_stands(hostile: str) -> None:
    base = samples.document()
    document = replace(
        base,
        clinic=replace(base.clinic, name=hostile),
        patient=PatientBlock(hostile, hostile, hostile, None, hostile),
        study=replace(base.study, clinical_question=hostile, body_part=hostile),
        text=ReportText(hostile, hostile, hostile, hostile, hostile),
        pictures=(replace(samples.picture(), caption=hostile),),
    )
    text = printed(render_report(document))

    assert "root:" not in text
    assert text.count(re.sub(r"\s+", " ", hostile)) >= 6


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("王小明", "王小明"),
        ("𠮷野家", "𠮷野家"),
        ("김철수", "김철수"),
        ("यक्ष", "य"),
        ("Ξένια", "Ξένια"),
        ("Дмитрий", "Дмитрий"),
        ("e\u0301", "é"),
        ("Ada 👍", "👍"),
        ("a\x00b\x07c", "a\ufffdb\ufffdc"),
        ("lone \ud800 half", "lone \ufffd half"),
        ("cuneiform \U00012000", "cuneiform \ufffd"),
        ("order\u202egnp.exe", "ordergnp.exe"),
        ("private \ue000 use", "private \ufffd use"),
        ("feff \ufeffx", "feff x"),
    ],
)
def test_a_name_in_any_script_is_printed_or_visibly_replaced(name: str, expected: str) -> None:
    document = samples.document(patient=PatientBlock(name, "", "1"), pictures=())

    assert expected in printed(render_report(document))


def test_arabic_text_keeps_its_letters() -> None:
    document = samples.document(text=ReportText(findings="كسر في الكعبرة"), pictures=())
    text = printed(render_report(document))

    assert set("كسرفيالكعبرة") <= set(text)


@pytest.mark.parametrize("language", ["de", "ar", "he", "zh-hans", "bn", "pt-br"])
def test_every_language_of_the_labels_prints(language: str) -> None:
    pdf = render_report(samples.with_verification(samples.document(language=language)))

    assert page_count(pdf) >= 1
    assert "A-10233" in printed(pdf)


def test_a_very_long_text_breaks_over_pages_and_loses_nothing() -> None:
    findings = " ".join(f"word{number}" for number in range(6000))
    pdf = render_report(samples.document(text=ReportText(findings=findings), pictures=()))

    assert page_count(pdf) > 8
    text = printed(pdf)
    assert all(f"word{number}" in text for number in range(0, 6000, 500))
    assert "word5999" in text
    assert text.count("Müller, Anna · A-10233 · ACC-417") == page_count(pdf) - 1


def test_a_word_without_end_stays_on_the_page() -> None:
    pdf = render_report(samples.document(text=ReportText(findings="x" * 3000), pictures=()))
    page = PdfReader(io.BytesIO(pdf)).pages[0]
    lines = [
        line for line in page.extract_text().replace("\u200b", "").split("\n") if "xxx" in line
    ]

    assert len(lines) > 10


def test_many_pictures_all_appear() -> None:
    pdf = render_report(samples.document(pictures=(samples.picture(),) * 24))
    text = printed(pdf)

    assert page_count(pdf) > 4
    assert all(f"Image {number}: PA view" in text for number in range(1, 25))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("L", "PNG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("1", "PNG"),
        ("I;16", "PNG"), ("L", "JPEG"), ("RGB", "JPEG"), ("CMYK", "JPEG"),
    ],
)  # fmt: skip
def test_pictures_of_every_pixel_kind_are_embedded(mode: str, kind: str) -> None:
    pdf = render_report(samples.document(pictures=(samples.picture(mode=mode, kind=kind),)))
    images = [image for page in PdfReader(io.BytesIO(pdf)).pages for image in page.images]

    assert len(images) == 1
    shown = images[0].image
    assert shown is not None
    grey = shown.convert("L")
    assert grey.getpixel((10, 10)) < 40
    assert grey.getpixel((grey.width * 5 // 12, 10)) > 190


def test_comments_and_exif_of_a_picture_stay_out() -> None:
    content = samples.picture_bytes(kind="JPEG", mode="RGB", comment=b"<b>Anna Canary</b>")
    pdf = render_report(samples.document(pictures=(Picture(content),)))

    assert b"Canary" in content
    assert b"Canary" not in pdf


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "document_image_unreadable"),
        (b"not an image", "document_image_unreadable"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "document_image_unreadable"),
        (samples.picture_bytes()[:200], "document_image_unreadable"),
        (samples.picture_bytes(kind="BMP"), "document_image_unreadable"),
        (samples.picture_bytes(8000, 8000, mode="1"), "document_image_too_large"),
    ],
    ids=["empty", "text", "svg", "cut off", "bmp", "huge"],
)
def test_a_picture_that_cannot_be_used_stops_the_report_with_a_code(
    content: bytes, code: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        render_report(samples.document(pictures=(Picture(content),)))

    assert caught.value.code == code


@pytest.mark.parametrize(
    "box",
    [
        PictureBox(-50, -50, 5000, 5000, Certainty.DEFINITE, 1.7, "over the edge"),
        PictureBox(float("nan"), 0, 1, 1, Certainty.DEFINITE, 0.5),
        PictureBox(0, 0, float("inf"), 1, Certainty.SUSPICION, None),
        PictureBox(10, 10, 0, -5, Certainty.DEFINITE, float("nan")),
        PictureBox(299, 399, 1, 1, Certainty.SUSPICION, 0.3, "corner"),
    ],
)
def test_a_strange_box_never_breaks_the_report(box: PictureBox) -> None:
    pdf = render_report(samples.document(pictures=(replace(samples.picture(), boxes=(box,)),)))

    assert page_count(pdf) >= 1


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (DocumentStatus.DRAFT, "DRAFT"),
        (DocumentStatus.PREVIEW, "PREVIEW"),
        (DocumentStatus.SUPERSEDED, "SUPERSEDED"),
        (DocumentStatus.WITHDRAWN, "WITHDRAWN"),
    ],
)
def test_every_page_of_an_invalid_paper_says_so(status: DocumentStatus, word: str) -> None:
    long = ReportText(findings="Many words. " * 900)
    pdf = render_report(samples.document(status=status, text=long))
    pages = PdfReader(io.BytesIO(pdf)).pages

    assert len(pages) > 2
    assert all(word in page.extract_text() for page in pages)
    assert "WITHDRAWN" not in printed(render_report(samples.document()))


def test_an_unsigned_report_says_that_it_is_unsigned() -> None:
    text = printed(render_report(samples.document(status=DocumentStatus.DRAFT, signature=None)))

    assert "This document has not been signed." in text
    assert "Signed electronically" not in text


@pytest.mark.parametrize("verdict", ["negative", "suspicion", "definite", "cannot_assess"])
def test_a_result_that_could_not_be_assessed_shows_no_probability(verdict: str) -> None:
    base = samples.document(pictures=())
    assert base.ai_result is not None
    text = printed(render_report(replace(base, ai_result=replace(base.ai_result, verdict=verdict))))

    assert ("Probability of a fracture" in text) is (verdict != "cannot_assess")


def test_an_unknown_verdict_is_never_printed_as_a_clearance() -> None:
    base = samples.document(pictures=())
    assert base.ai_result is not None
    text = printed(render_report(replace(base, ai_result=replace(base.ai_result, verdict="fine"))))

    assert "Cannot assess" in text
    assert "No fracture seen" not in text


def test_times_without_zone_and_absurd_sizes_are_refused() -> None:
    naive = samples.SIGNED_AT.replace(tzinfo=None)
    for document in (
        samples.document(created_at=naive),
        samples.document(text=ReportText(findings="x" * 300_000)),
        samples.document(pictures=(samples.picture(),) * (MAX_PICTURES + 1)),
    ):
        with pytest.raises(DocumentError, match="document_invalid"):
            render_report(document)
