"""A validation in words: plain, with its uncertainty, and never more than the cases allow."""

from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils import timezone

from diagnosis.documents.validation import render_validation, validation_payload
from diagnosis.models import ModelVersion, SiteValidation
from diagnosis.selectors.validation_cases import ValidationCase
from diagnosis.site_figures import site_figures
from tests.diagnosis.test_reports import text_of


def cases(fractured, sound, *, sensitivity=1.0):
    """Return as many studies, each of a patient of its own."""
    found = []
    for number in range(fractured + sound):
        is_fractured = number < fractured
        flagged = is_fractured and number < sensitivity * fractured
        found.append(
            ValidationCase(
                study_id=UUID(int=number), patient_id=UUID(int=1000 + number),
                fractured=is_fractured, verdict="definite" if flagged else "negative",
                probability=0.8 + number / 1000 if flagged else 0.1 - number / 1000,
                region="leg", age="40-64", hardware="without", view="frontal+lateral",
            )
        )  # fmt: skip
    return found


def payload(fractured, sound, missed=()):
    result = site_figures(cases(fractured, sound), progress=lambda _percent: None) | {
        "model": {"name": "detector", "version": "2", "sha256": "a" * 64},
        "thresholds": {"suspicion": 0.2, "definite": 0.7},
        "studies": fractured + sound + 4,
        "left_out": {"not_reported": 1, "undecided": 1, "no_result": 2, "cannot_assess": 0},
        "missed_count": len(missed),
        "missed": [{"study": m, "probability": 0.1, "region": ""} for m in missed],
    }
    row = SiteValidation(
        model_version=ModelVersion(), first=date(2026, 1, 1), last=date(2026, 3, 31),
        result=result, finished_at=timezone.now(),
    )  # fmt: skip
    return validation_payload(
        row, clinic_name="Klinik *Nord* #1", intended_use="Research use only.",
        zone=ZoneInfo("UTC"), language="en",
    )  # fmt: skip


def test_the_reading_says_how_sure_one_can_be():
    said = " ".join(payload(34, 210)["reading"])
    assert "244 of 248 studies were compared" in said
    assert "With 34 fractured studies the sensitivity could be anywhere from 89.8 %" in said
    assert "Doctors who saw the AI before they signed may have followed it" in said
    few = " ".join(payload(4, 210)["reading"])
    assert "There are 4 fractured studies. Of fewer than 10 no sensitivity is given." in few
    assert "the sensitivity could be" not in few


def test_the_pdf_prints_words_as_they_are_with_every_table_and_foot():
    study = str(UUID(int=5))
    text = " ".join(text_of(render_validation(payload(12, 12, [study]), at=timezone.now())).split())
    assert "Klinik *Nord* #1" in text
    assert study in text
    assert "a" * 64 in text.replace(" ", "")
    assert "Research use only." in text
    assert "frontal + lateral" in text
    assert "Page 1 of" in text
