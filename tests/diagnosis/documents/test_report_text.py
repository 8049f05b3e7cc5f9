"""Any text becomes printable text, and the list of printable characters is true to the fonts."""

import pytest
from fontTools.ttLib import TTFont
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnosis.documents.contracts import PatientBlock, ReportText
from diagnosis.documents.renderer import render_report
from diagnosis.documents.text import FONT_FOLDER, clean_line, clean_text, direction, paragraphs
from tests.diagnosis.documents import samples

ANY_TEXT = st.text(alphabet=st.characters(), max_size=60)


def covered_by_the_fonts() -> set[int]:
    covered: set[int] = set()
    for path in sorted(FONT_FOLDER.glob("*.[ot]tf")):
        with TTFont(path) as font:
            covered |= set(font.getBestCmap())
    return covered


def as_ranges(points: set[int]) -> str:
    ranges: list[list[int]] = []
    for point in sorted(points):
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(f"{first:X}-{last:X}\n" for first, last in ranges)


def test_the_coverage_list_is_what_the_fonts_can_draw() -> None:
    written = (FONT_FOLDER / "coverage.txt").read_text(encoding="ascii")

    assert written == as_ranges(covered_by_the_fonts()), (
        "write as_ranges(covered_by_the_fonts()) of this test to coverage.txt"
    )


def test_the_fonts_come_with_their_licence_and_stay_small() -> None:
    assert "SIL OPEN FONT LICENSE" in (FONT_FOLDER / "OFL.txt").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in FONT_FOLDER.iterdir()) < 14_000_000


@given(ANY_TEXT)
def test_cleaning_is_stable_and_leaves_nothing_unprintable(value: str) -> None:
    cleaned = clean_text(value)

    assert clean_text(cleaned) == cleaned
    assert not any(character in "\x00\r\ufeff\u202e" for character in cleaned)
    cleaned.encode("utf-8")
    assert "\n" not in clean_line(value)


@settings(max_examples=40, deadline=None)
@given(ANY_TEXT, ANY_TEXT)
def test_no_text_at_all_can_stop_a_report(name: str, findings: str) -> None:
    document = samples.document(
        patient=PatientBlock(name, name, name), text=ReportText(findings=findings), pictures=()
    )

    assert render_report(document).startswith(b"%PDF")


@pytest.mark.parametrize(
    "value",
    [
        "漢\u09be",
        "Z\u0351\u036b\u0343a",
        "\u0301",
        "\u200d\u200d",
        "\u0627\u0301漢\u093f",
        "🇩🇪1️⃣👩🏽‍⚕️",
        "\u2028" * 9,
    ],
)
def test_marks_that_no_font_combines_do_not_stop_a_report(value: str) -> None:
    assert render_report(samples.document(text=ReportText(findings=value), pictures=()))


def test_paragraphs_know_their_direction() -> None:
    assert paragraphs("one\ntwo\r\n\r\n  \nשם") == [
        {"dir": "ltr", "lines": ["one", "two"]},
        {"dir": "rtl", "lines": ["שם"]},
    ]
    assert paragraphs(" \n \t") == []
    assert direction("12: שלום") == "rtl"


def test_a_long_word_gets_places_to_break_and_an_ordinary_one_none() -> None:
    assert "\u200b" in clean_text("x" * 100)
    assert clean_text("Oberarmkopfmehrfragmentfraktur") == "Oberarmkopfmehrfragmentfraktur"
