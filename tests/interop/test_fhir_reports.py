"""Reports as FHIR resources."""

import base64
import hashlib
import json
from typing import Any

import pytest
from fhir.resources.R4B.diagnosticreport import DiagnosticReport as FhirDiagnosticReport

from diagnosis.interop.fhir_reports import (
    ReportPdf,
    fhir_diagnostic_report,
    report_status,
    shown_version,
)
from tests.interop.fhir_rows import AT, PDF, Rows

PDF_URL = "https://fractures.example/api/v1/reports/1/pdf/"


def presented_form(rows: Rows, pdf: ReportPdf) -> dict[str, Any]:
    report = fhir_diagnostic_report(rows.context, rows.signed(), rows.report, rows.study, pdf=pdf)
    assert FhirDiagnosticReport.model_validate_json(report.model_dump_json()) == report
    form: dict[str, Any] = json.loads(report.model_dump_json())["presentedForm"][0]
    return form


@pytest.mark.parametrize(
    ("status", "number", "told"),
    [("draft", 1, "preliminary"), ("signed", 1, "final"), ("signed", 2, "amended")],
)
def test_the_status_says_how_far_a_report_is(status, number, told):
    rows = Rows()
    make = rows.signed if status == "signed" else rows.draft

    version = make(number=number, reason="Typo" if number > 1 else "")

    assert report_status(version) == told
    report = fhir_diagnostic_report(rows.context, version, rows.report, rows.study)
    assert report.status == told
    assert report.id == str(rows.report.pk)


def test_an_open_amendment_leaves_the_signed_version_in_force():
    rows = Rows()
    first, second = rows.signed(number=1), rows.draft(number=2, reason="Typo")

    assert shown_version([second, first]) is first
    with pytest.raises(ValueError, match="not signed"):
        fhir_diagnostic_report(rows.context, second, rows.report, rows.study)


def test_the_newest_signed_version_is_shown():
    rows = Rows()
    versions = [rows.signed(number=number, reason="x") for number in (1, 2)]

    assert shown_version(versions) is versions[1]
    assert shown_version([]) is None
    draft = rows.draft()
    assert shown_version([draft]) is draft


def test_a_signed_report_tells_conclusion_signer_results_and_study():
    rows = Rows()
    version = rows.signed()
    ids = [finding.pk for finding in rows.findings]

    report = fhir_diagnostic_report(
        rows.context, version, rows.report, rows.study, observations=ids
    )

    assert report.conclusion == "Distal radius fracture.\n\nCast."
    assert report.issued == AT
    assert report.resultsInterpreter[0].display == "Dr. Grace Reader"
    assert [r.reference for r in report.result] == [f"Observation/{key}" for key in ids]
    assert report.imagingStudy[0].reference == f"ImagingStudy/{rows.study.pk}"
    assert report.meta.versionId == "1"
    assert report.meta.tag[0].code == "ai-assisted"
    assert FhirDiagnosticReport.model_validate_json(report.model_dump_json()) == report


def test_a_report_without_ai_results_is_not_tagged():
    rows = Rows()

    report = fhir_diagnostic_report(rows.context, rows.signed(), rows.report, rows.study)

    assert report.meta.tag is None
    assert report.result is None


def test_a_draft_names_nobody_and_no_time_of_issue():
    rows = Rows()

    report = fhir_diagnostic_report(rows.context, rows.draft(revision=3), rows.report, rows.study)

    assert (report.issued, report.resultsInterpreter, report.identifier) == (None, None, None)
    assert report.meta.versionId == "0.3"


def test_the_pdf_comes_with_size_and_hash():
    rows = Rows()

    form = presented_form(rows, ReportPdf(PDF_URL, PDF))

    assert (form["contentType"], form["url"]) == ("application/pdf", PDF_URL)
    assert form["size"] == len(PDF)
    assert base64.b64decode(form["hash"]) == hashlib.sha1(PDF).digest()  # noqa: S324
    assert "data" not in form


def test_the_pdf_can_be_inside():
    rows = Rows()

    form = presented_form(rows, ReportPdf(PDF_URL, PDF, inline=True))

    assert base64.b64decode(form["data"]) == PDF


def test_a_pdf_that_was_not_read_is_only_linked():
    rows = Rows()

    form = presented_form(rows, ReportPdf(PDF_URL))

    assert form["url"] == PDF_URL
    assert not {"size", "hash", "data"} & set(form)


def test_a_pdf_that_was_not_signed_is_refused():
    rows = Rows()

    with pytest.raises(ValueError, match="not the PDF that was signed"):
        fhir_diagnostic_report(
            rows.context,
            rows.signed(),
            rows.report,
            rows.study,
            pdf=ReportPdf(PDF_URL, PDF + b"!"),
        )
    with pytest.raises(ValueError, match="draft has no PDF"):
        fhir_diagnostic_report(
            rows.context, rows.draft(), rows.report, rows.study, pdf=ReportPdf(PDF_URL)
        )


def test_hostile_text_stays_text():
    rows = Rows()
    version = rows.signed(impression="<img src=x>\x00\r\n\x1b[31m}}", recommendation="")

    report = fhir_diagnostic_report(rows.context, version, rows.report, rows.study)

    assert report.conclusion == "<img src=x>\n[31m}}"
    assert report.text is None


def test_a_report_without_impression_has_no_conclusion():
    rows = Rows()
    version = rows.signed(impression=" \n", recommendation="")

    report = fhir_diagnostic_report(rows.context, version, rows.report, rows.study)

    assert report.conclusion is None


def test_rows_of_another_clinic_are_refused():
    rows, other = Rows(), Rows()

    for version, report, study in (
        (other.signed(), rows.report, rows.study),
        (rows.signed(), other.report, rows.study),
        (rows.signed(), rows.report, other.study),
    ):
        with pytest.raises(ValueError, match="another clinic"):
            fhir_diagnostic_report(rows.context, version, report, study)
