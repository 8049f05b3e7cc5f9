"""The number on the paper changes with every signed value and with nothing else."""

from dataclasses import replace

from diagnosis.documents.contracts import DocumentStatus, PaperSize, Picture, ReportText
from diagnosis.documents.digest import report_digest
from tests.diagnosis.documents import samples


def test_every_signed_value_changes_the_digest() -> None:
    base = samples.document()
    changed = [
        replace(base, text=ReportText(findings="other")),
        replace(base, patient=replace(base.patient, record_number="A-10234")),
        replace(base, pictures=(Picture(samples.picture_bytes(301)),)),
        replace(base, version=2),
        replace(base, signature=None),
        replace(base, ai_result=None),
        replace(base, disclaimer=""),
    ]

    assert len({report_digest(value) for value in (base, *changed)}) == len(changed) + 1


def test_the_digest_outlives_a_new_status_and_another_sheet() -> None:
    base = samples.document()

    assert report_digest(samples.with_verification(base)) == report_digest(base)
    assert report_digest(replace(base, status=DocumentStatus.WITHDRAWN)) == report_digest(base)
    assert report_digest(replace(base, paper=PaperSize.LETTER)) == report_digest(base)


def test_text_moved_between_sections_is_another_report() -> None:
    left = samples.document(text=ReportText(findings="a", impression=""))
    right = samples.document(text=ReportText(findings="", impression="a"))

    assert report_digest(left) != report_digest(right)


def test_a_lone_surrogate_has_a_digest_too() -> None:
    assert len(report_digest(samples.document(disclaimer="\ud800"))) == 64
