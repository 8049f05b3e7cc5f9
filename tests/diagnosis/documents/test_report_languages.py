"""The printed report in the clinic's language; on the picture, left stays left in all of them."""

import io
from dataclasses import replace

import pytest
from django.utils import translation
from pypdf import PdfReader

from accounts.tenancy import clinic_scope
from diagnosis.documents.contracts import DocumentStatus
from diagnosis.documents.renderer import render_report
from diagnosis.services.reports import report_pdf
from tests.diagnosis.documents import samples
from tests.diagnosis.documents.test_report_pdf import printed
from tests.diagnosis.test_reports import readable_study, sign, text_of
from tests.factories import ClinicFactory, MembershipFactory

MARKED = [(100 / 300, 150 / 400), (20 / 300, 250 / 400)]  # the boxes of samples.picture()


def marks(pdf: bytes) -> list[tuple[float, float]]:
    """Return where boxes begin, as fractions of the picture from its left and upper edge."""
    found: list[tuple[float, float]] = []
    frame: list[float] = []

    def visit(operator: bytes, _operands: object, matrix: list[float], _text: object) -> None:
        if operator == b"Do":
            frame[:] = matrix
        elif operator == b"m" and frame:
            width, height, left, bottom = frame[0], frame[3], frame[4], frame[5]
            x, y = (matrix[4] - left) / width, (bottom + height - matrix[5]) / height
            found.append((x, y))

    for page in PdfReader(io.BytesIO(pdf)).pages:
        frame.clear()
        page.extract_text(visitor_operand_before=visit)
    return found


@pytest.mark.parametrize("language", ["en", "es", "fr", "ar", "he"])
def test_boxes_lie_on_the_same_place_of_the_picture_in_every_language(language: str) -> None:
    found = marks(render_report(samples.document(language=language)))

    for box in MARKED:
        assert any(place == pytest.approx(box, abs=0.005) for place in found)
    assert all(-0.01 < x < 1 for x, y in found if 0 <= y <= 1), "a mark left the picture"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("es", ["Informe radiológico", "Fractura · hand", "14 de marzo de 1968", "0,95"]),
        ("fr", ["Compte rendu de radiographie", "Date de naissance", "14 mars 1968"]),
        ("ar", ["ريرقت", "0.95"]),
    ],
)
def test_labels_dates_and_numbers_are_the_languages(language: str, words: list[str]) -> None:
    text = printed(render_report(samples.document(language=language)))

    for word in words:
        assert word in text or word[::-1] in text


@pytest.mark.parametrize("language", ["es", "fr", "ar"])
def test_what_is_not_signed_is_marked_in_every_language(language: str) -> None:
    draft = samples.document(language=language, status=DocumentStatus.DRAFT, signature=None)
    with translation.override(language):
        mark = translation.gettext("DRAFT")

    assert mark != "DRAFT"
    if language != "ar":  # joined letters come back in another order
        assert mark in printed(render_report(draft))
    assert render_report(draft) != render_report(replace(draft, status=DocumentStatus.FINAL))


@pytest.mark.django_db
class TestTheClinicsLanguage:
    @pytest.fixture
    def doctor(self):
        return MembershipFactory(doctor=True, clinic=ClinicFactory(language="es"))

    def test_a_report_is_drafted_and_printed_in_it_whatever_the_reader_reads(self, doctor):
        study = readable_study(doctor)
        with clinic_scope(doctor.clinic_id), translation.override("ar"):
            report, version = sign(doctor, study)
            _version, pdf = report_pdf(actor=doctor.user, report=report)

        assert version.findings.startswith("Imagen 1: signos de fractura")
        for words in ("Informe definitivo", "Solo para investigación", "Médico"):
            assert words in text_of(pdf)
