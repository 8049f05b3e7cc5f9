"""What the viewer and the page's panel tell each other, on the plain viewer that always works."""

import json
from typing import Any

import pytest

from tests.web.test_widgets_in_browser import VIEWER, Open, open_page, ready

__all__ = ["open_page"]  # a fixture

FINDINGS = [
    {"id": "a", "source": "ai", "state": "accepted", "certainty": "definite", "probability": 0.9},
    {"id": "b", "source": "ai", "state": "rejected", "certainty": "suspicion", "probability": 0.3},
    {"id": "c", "source": "doctor", "state": "added", "certainty": "definite", "label": "ulna"},
]
SPY = """window.heard = []; for (const name of ["fs:box-edited", "fs:finding-selected",
  "fs:ai-visibility", "fs:edit-mode"]) document.addEventListener(name,
  (event) => window.heard.push([name, event.detail]))"""
HEARD = "window.heard.splice(0)"
HIDDEN = VIEWER.replace("marks=marks", "marks=empty ai_hidden=True").replace(
    "heatmap_url=heat ", ""
)


def tell(page: Any, name: str, detail: Any) -> None:
    page.evaluate(
        f"document.dispatchEvent(new CustomEvent('{name}', {json.dumps({'detail': detail})}))"
    )


def told(page: Any) -> list[Any]:
    tell(page, "fs:findings-changed", {"imageId": "viewer", "findings": placed()})
    return page.locator(".viewer-marks g").evaluate_all(
        "all => all.map((each) => each.getAttribute('class').split(' '))"
    )


def placed() -> list[dict[str, Any]]:
    box = {"y": 600, "width": 200, "height": 150}
    return [{**each, "box": {"x": 100 + 350 * at, **box}} for at, each in enumerate(FINDINGS)]


def stage_point(page: Any, x: float, y: float) -> tuple[float, float]:
    at = page.evaluate(f"document.querySelector('#viewer').viewer.toStage([{x}, {y}])")
    edge = page.locator("[data-viewer-stage]").bounding_box()
    return edge["x"] + at[0], edge["y"] + at[1]


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*stage_point(page, *start))
    page.mouse.down()
    page.mouse.move(*stage_point(page, *end), steps=3)
    page.mouse.up()


def test_states_of_findings_differ_by_shape_and_words_not_only_by_colour(open_page: Open) -> None:
    page = open_page(VIEWER)
    ready(page)
    accepted, rejected, added = told(page)
    assert "is-accepted" in accepted
    assert "own" not in accepted
    assert "is-rejected" in rejected
    assert "own" in added
    texts = page.locator(".viewer-marks text").all_text_contents()
    assert texts == ["1  \u2713  0.90", "2  \u2717  0.30", "3  ulna"]
    assert page.locator(".viewer-marks .is-rejected .strike").count() == 1
    assert page.locator(".viewer-marks .own path.line").count() == 1


def test_choosing_a_box_tells_the_panel_and_the_panel_chooses_one(open_page: Open) -> None:
    page = open_page(VIEWER)
    ready(page)
    told(page)
    page.evaluate(SPY)
    page.mouse.click(*stage_point(page, 100, 675))
    assert page.evaluate(HEARD) == [
        ["fs:finding-selected", {"findingId": "a", "imageId": "viewer"}]
    ]

    tell(page, "fs:finding-selected", {"findingId": "c", "imageId": "viewer"})
    page.locator(".viewer-stage.is-zoomed").wait_for()
    assert page.locator(".viewer-marks .is-focused").get_attribute("data-id") == "c"
    assert len(page.evaluate(HEARD)) == 1  # the panel's own word, no echo


@pytest.mark.parametrize("view", ["fitted", "zoomed"])
def test_a_box_is_drawn_by_hand_at_any_zoom(open_page: Open, view: str) -> None:
    page = open_page(VIEWER)
    ready(page)
    if view == "zoomed":
        tell(page, "fs:finding-selected", {"findingId": "a", "imageId": "viewer"})
    tell(page, "fs:edit-mode", {"mode": "add", "findingId": None, "imageId": "viewer"})
    page.evaluate(SPY)
    drag(page, (620, 740), (520, 620))
    (name, detail), (ended, last) = page.evaluate(HEARD)
    assert (name, detail["findingId"], detail["imageId"]) == ("fs:box-edited", None, "viewer")
    assert list(detail["box"].values()) == pytest.approx([520, 620, 100, 120], abs=4)
    assert (ended, last["mode"]) == ("fs:edit-mode", None)
    assert page.locator(".viewer-stage.is-editing").count() == 0


def test_a_slip_of_the_hand_is_no_box_and_nothing_leaves_the_image(open_page: Open) -> None:
    page = open_page(VIEWER)
    ready(page)
    page.evaluate(SPY)
    tell(page, "fs:edit-mode", {"mode": "add", "findingId": None, "imageId": "viewer"})
    drag(page, (500, 500), (502, 501))
    drag(page, (1100, 1500), (1500, 1900))
    edited = [detail["box"] for name, detail in page.evaluate(HEARD) if name == "fs:box-edited"]
    assert len(edited) == 1
    assert edited[0]["x"] + edited[0]["width"] <= 1200
    assert edited[0]["y"] + edited[0]["height"] <= 1600


def test_a_box_is_moved_stretched_and_nudged_by_keys(open_page: Open) -> None:
    page = open_page(VIEWER)
    ready(page)
    told(page)
    page.evaluate(SPY)
    tell(page, "fs:edit-mode", {"mode": "move", "findingId": "a", "imageId": "viewer"})
    drag(page, (200, 675), (260, 700))
    drag(page, (360, 775), (420, 800))
    for key in ("ArrowRight", "Shift+ArrowDown", "Enter", "Escape"):
        page.keyboard.press(key)
    boxes = [detail["box"] for name, detail in page.evaluate(HEARD) if name == "fs:box-edited"]
    assert list(boxes[0].values()) == pytest.approx([160, 625, 200, 150], abs=5)
    assert list(boxes[1].values()) == pytest.approx([160, 625, 260, 175], abs=8)
    assert boxes[2]["x"] == boxes[1]["x"] + 1
    assert boxes[2]["y"] == boxes[1]["y"] + 10
    assert page.locator(".viewer-stage.is-editing").count() == 0


def test_all_of_the_ai_goes_with_one_key_and_a_doctors_own_box_stays(open_page: Open) -> None:
    page = open_page(VIEWER)
    ready(page)
    told(page)
    page.keyboard.press("h")
    page.evaluate(SPY)
    page.keyboard.press("o")
    page.locator("[data-viewer-heatmap][hidden]").wait_for(state="attached")
    assert page.locator(".viewer-marks g").count() == 1
    assert page.evaluate(HEARD) == [["fs:ai-visibility", {"visible": False}]]
    tell(page, "fs:ai-visibility", {"visible": True})
    assert page.locator(".viewer-marks g").count() == 3


def test_a_first_reading_shows_and_fetches_nothing_of_the_ai(open_page: Open) -> None:
    page = open_page(HIDDEN)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("[data-viewer-loading]").wait_for(state="hidden")
    states = told(page)
    assert [state for state in states if "own" not in state] == []
    for key in ("o", "h", "b", "b"):
        page.keyboard.press(key)
    assert page.locator(".viewer-marks g").count() == 1
    assert page.locator("[data-viewer-action=heatmap]").is_hidden()
    assert [url for url in asked if "heat" in url] == []
    tell(page, "fs:ai-revealed", {})
    assert page.locator(".viewer-marks g").count() == 3
