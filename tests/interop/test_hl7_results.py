"""Results as HL7: what a receiver reads back is what was meant, whatever the text."""

import base64
from dataclasses import replace
from datetime import UTC, date, datetime

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnosis.interop.hl7_reading import hl7_segments
from diagnosis.interop.hl7_results import Hl7Ai, Hl7Parties, Hl7Patient, Hl7Result, hl7_result

AT = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
RESULT = Hl7Result(
    control_id="0123456789ABCDEF0123",
    written_at=AT,
    parties=Hl7Parties(
        receiving_application="RIS", receiving_facility="H", assigning_authority="H"
    ),
    patient=Hl7Patient("MRN-1", "Müller", "Ada", date(1980, 5, 1), "female"),
    accession_number="A-1",
    placer_number="P-1",
    registered_at=AT,
    ai=Hl7Ai("definite", 0.91, "fracture-detector 0.1.0"),
)
SIGNED = replace(
    RESULT,
    sections={"findings": "Line 1\nLine 2 & more", "impression": "Fracture.", "technique": ""},
    version=1,
    signer="Dr. Example",
    signed_at=AT,
    pdf=b"%PDF-1.7 \x00\xff",
)


def read(result: Hl7Result) -> dict[str, list]:
    """Read with the library, as a receiver does."""
    message = hl7.parse(hl7_result(result).decode())
    return {name: list(message.segments(name)) for name in ("MSH", "PID", "ORC", "OBR", "OBX")}


def observations(result: Hl7Result) -> dict[str, str]:
    rows = {}
    for segment in hl7_segments(hl7_result(result), encoding="utf-8"):
        if segment.name == "OBX":
            rows[segment.text(3)] = segment.text(5)
    return rows


def test_a_preliminary_result_is_told_as_one():
    told = read(RESULT)
    assert str(told["MSH"][0][9]) == "ORU^R01^ORU_R01"
    assert str(told["PID"][0][3]) == "MRN-1^^^H^MR"
    assert str(told["PID"][0][5]) == "Müller^Ada"
    assert (str(told["OBR"][0][2]), str(told["OBR"][0][3])) == ("P-1", "A-1")
    assert str(told["OBR"][0][25]) == "P"
    assert {str(row[11]) for row in told["OBX"]} == {"P"}
    found = observations(RESULT)
    assert (found["ai-verdict"], found["ai-probability"]) == ("definite", "0.9100")
    assert "does not replace" in found["ai-note"]


def test_a_signed_report_carries_its_text_signer_and_pdf():
    told = read(SIGNED)
    assert str(told["OBR"][0][25]) == "F"
    assert str(told["OBR"][0][32]) == "^Dr. Example"
    found = observations(SIGNED)
    assert found["findings"] == "Line 1\nLine 2 & more"
    assert "technique" not in found
    [document] = [row for row in told["OBX"] if str(row[2]) == "ED"]
    parts = str(document[5]).split("^")
    assert parts[:4] == ["FRACTURE_SITE", "Application", "PDF", "Base64"]
    assert base64.b64decode(parts[4]) == SIGNED.pdf


def test_an_amendment_is_a_correction_with_its_reason():
    amended = replace(SIGNED, version=2, reason="Wrong side")
    assert str(read(amended)["OBR"][0][25]) == "C"
    assert observations(amended)["reason"] == "Wrong side"


def test_a_study_that_could_not_be_assessed_has_no_number():
    found = observations(replace(RESULT, ai=Hl7Ai("cannot_assess", None, "m 1")))
    assert found["ai-verdict"] == "cannot_assess"
    assert "ai-probability" not in found
    assert observations(replace(RESULT, ai=None)) == {}


@pytest.mark.parametrize(("sex", "letter"), [("male", "M"), ("other", "O"), ("unknown", "U")])
def test_sexes(sex, letter):
    assert (
        str(read(replace(RESULT, patient=replace(RESULT.patient, sex=sex)))["PID"][0][8]) == letter
    )


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=120))
def test_any_text_arrives_and_none_breaks_out(text):
    message = hl7_result(replace(SIGNED, sections={"findings": text}, signer=text))
    assert message.count(b"\r") == 9 + bool(text.strip())  # no text makes a segment
    if text.strip() and text.isprintable():
        found = {
            segment.text(3): segment.text(5)
            for segment in hl7_segments(message, encoding="utf-8")
            if segment.name == "OBX"
        }
        assert " ".join(found["findings"].split()) == " ".join(text.split())
