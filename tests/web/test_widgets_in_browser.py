"""The viewer, the upload panel and the themes in Chromium, under the site's strict policy."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.template import engines

from tests.diagnosis.documents.samples import picture_bytes

ROOT = Path(__file__).resolve().parents[2]
SITE = "http://fracture.test"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'"
)
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MARKS = {
    "width": 1200,
    "height": 1600,
    "boxes": [
        {"id": "a", "box": [500, 600, 200, 150], "certainty": "definite", "probability": 0.953},
        {"id": "b", "box": [100, 1000, 150, 160], "certainty": "suspicion", "label": "<b>x</b>"},
    ],
}
VIEWER = """{% extends "base.html" %}{% load static %}{% block page %}
{% with image="/image.png" heat="/heat.png" frame="/image.png?frame={frame}" %}
{% include "diagnosis/_viewer.html" with viewer_id="viewer" image_url=image marks=marks heatmap_url=heat frames=3 frame_url=frame %}
{% endwith %}
<button id="show-b" data-viewer-focus="b" data-viewer-target="#viewer">b</button>
<textarea id="note" aria-label="note"></textarea>
{% endblock %}
{% block scripts %}<script type="module" src="{% static 'js/viewer.js' %}"></script>{% endblock %}
"""  # noqa: E501
UPLOAD = """{% extends "base.html" %}{% load static %}{% block page %}
{% include "diagnosis/_upload.html" with upload_url="/upload" upload_id="upload" %}
{% endblock %}
{% block scripts %}<script type="module" src="{% static 'js/upload.js' %}"></script>{% endblock %}
"""
STATE = """() => { const v = document.querySelector("#viewer").viewer;
  return {scale: v.view.scale, x: v.view.x, y: v.view.y, fitted: v.isFitted, frame: v.frame,
          boxes: v.svg.querySelectorAll("g").length, heatmap: !v.canvas.hidden}; }"""
PLACE = """() => { const viewer = document.querySelector("#viewer").viewer;
  const line = viewer.svg.querySelector(".definite .line").getBBox();
  const layer = viewer.layer.getBoundingClientRect();
  const stage = viewer.stage.getBoundingClientRect();
  return [(line.x + stage.x - layer.x) / layer.width, (line.y + stage.y - layer.y) / layer.height,
          line.width / layer.width, line.height / layer.height]; }"""
SUM_UP = """document.querySelector("#upload").addEventListener(
  "upload:finished", (event) => (document.body.dataset.sum = JSON.stringify(event.detail)))"""
ASKS_BEFORE_LEAVING = """() => {
  const event = new Event("beforeunload", {cancelable: true}); return !dispatchEvent(event); }"""

Open = Callable[..., Any]


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Open]:
    """Return a function that opens a template; broken rules of the policy fail the test."""
    contexts, complaints = [], []

    def serve(route: Any, html: str, answer: Callable[[str], Any]) -> None:
        path = re.sub(r"[?#].*", "", route.request.url.removeprefix(SITE))
        if path == "/":
            headers = {"Content-Security-Policy": POLICY}
            route.fulfill(body=html, content_type="text/html; charset=utf-8", headers=headers)
        elif path == "/image.png":
            route.fulfill(body=picture_bytes(600, 800), content_type="image/png")
        elif path == "/heat.png":
            route.fulfill(body=picture_bytes(60, 80), content_type="image/png")
        elif path == "/upload":
            answer(route)
        else:
            file = ROOT / path.lstrip("/")
            route.fulfill(body=file.read_bytes(), content_type=KINDS[file.suffix])

    def open_template(
        template: str,
        *,
        answer: Callable[[Any], None] = lambda route: route.abort(),
        **options: Any,
    ) -> Any:
        html = engines["django"].from_string(template).render({"marks": MARKS, "csrf_token": "tok"})
        context = chromium.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: "Content Security" in message.text and complaints.append(message.text),
        )
        context.route("**/*", lambda route: serve(route, html, answer))
        page.goto(SITE + "/")
        return page

    yield open_template
    for context in contexts:
        context.close()
    assert not complaints


def ready(page: Any) -> dict[str, Any]:
    # Playwright's own wait_for_function needs eval, which the policy forbids: wait for elements.
    page.locator("[data-viewer-loading]").wait_for(state="hidden")
    page.locator(".viewer-marks g").first.wait_for()
    return page.evaluate(STATE)


def test_the_viewer_shows_boxes_and_answers_keys_wheel_and_mouse(open_page: Open) -> None:
    page = open_page(VIEWER)
    first = ready(page)
    assert first["fitted"]
    assert first["boxes"] == 2
    assert page.locator(".viewer-marks .definite text").text_content() == "1  0.95"
    assert page.locator(".viewer-marks .suspicion text").text_content() == "2  <b>x</b>"

    stage = page.locator("[data-viewer-stage]").bounding_box()
    page.mouse.move(stage["x"] + 300, stage["y"] + 300)
    page.mouse.wheel(0, -700)
    page.locator(".viewer-stage.is-zoomed").wait_for()
    zoomed = page.evaluate(STATE)
    assert zoomed["scale"] > first["scale"] * 2
    page.mouse.down()
    page.mouse.move(stage["x"] + 250, stage["y"] + 260, steps=3)
    page.mouse.up()
    moved = page.evaluate(STATE)
    assert moved["y"] == pytest.approx(zoomed["y"] - 40)

    page.keyboard.press("b")
    assert page.evaluate(STATE)["boxes"] == 0
    page.keyboard.press("h")
    assert page.evaluate(STATE)["heatmap"]
    page.keyboard.press("0")
    assert page.evaluate(STATE)["fitted"]


def test_a_box_lies_where_the_original_has_it_at_every_zoom(open_page: Open) -> None:
    page = open_page(VIEWER)
    ready(page)
    for action in ("fit", "zoom-in", "zoom-in"):
        page.click(f'[data-viewer-action="{action}"]')
        placed = page.evaluate(PLACE)
        assert placed == pytest.approx([500 / 1200, 600 / 1600, 200 / 1200, 150 / 1600], abs=0.002)


def test_a_button_elsewhere_brings_its_box_to_the_middle(open_page: Open) -> None:
    page = open_page(VIEWER)
    ready(page)
    page.click("#show-b")

    assert not page.evaluate(STATE)["fitted"]
    assert page.locator(".viewer-marks .is-focused").get_attribute("data-id") == "b"


def test_frames_change_the_picture_and_hide_boxes_of_other_frames(open_page: Open) -> None:
    page = open_page(VIEWER)
    ready(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("]")
    page.locator('img[src*="frame=1"]').wait_for()

    assert asked == [f"{SITE}/image.png?frame=1"]
    assert page.evaluate(STATE)["boxes"] == 0
    assert page.locator("[data-viewer-frame-number]").text_content() == "2 / 3"


def test_a_picture_that_does_not_come_is_said_and_can_be_asked_for_again(open_page: Open) -> None:
    page = open_page(VIEWER)
    ready(page)
    page.route("**/image.png", lambda route: route.abort())
    page.reload()
    page.locator("[data-viewer-failed]").wait_for(state="visible")
    page.unroute("**/image.png")
    page.click('[data-viewer-action="reload"]')

    assert ready(page)["boxes"] == 2
    assert page.locator("[data-viewer-failed]").is_hidden()


def test_on_a_phone_the_tools_fit_and_nothing_overflows(open_page: Open) -> None:
    page = open_page(VIEWER, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    ready(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    heights = page.locator(".viewer-tools button").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().top)"
    )
    assert len(set(heights)) == 1


def answer_by_name(seen: list[str]) -> Callable[[Any], None]:
    """Accept, refuse, know or lose a file after its name; a lost one is taken the second time."""

    def answer(route: Any) -> None:
        assert route.request.headers["x-csrftoken"] == "tok"
        body = route.request.post_data_buffer.decode("latin-1")
        name = re.search(r'filename="([^"]+)"', body)[1]
        again = name in seen
        seen.append(name)
        if name.startswith("lost") and not again:
            return route.abort()
        if name.startswith("busy") and not again:
            return route.fulfill(status=503, body="<h1>busy</h1>")
        outcome = {"bad": "refused", "known": "existing"}.get(name.split("-")[0], "accepted")
        url = "javascript:alert(1)" if name.startswith("bad") else "/studies/1/"
        words = {"outcome": outcome, "code": "x", "message": f"<i>{outcome}</i>", "url": url}
        return route.fulfill(status=201, body=json.dumps(words), content_type="application/json")

    return answer


def choose(page: Any, names: list[str]) -> None:
    files = [
        {"name": name, "mimeType": "image/png", "buffer": picture_bytes(40, 40)} for name in names
    ]
    page.locator(".drop [data-upload-input]").set_input_files(files)


def outcomes(page: Any) -> dict[str, str]:
    rows = page.locator(".upload-row").evaluate_all(
        "rows => rows.map(row => [row.querySelector('.name').title, row.className.split('is-')[1]])"
    )
    return dict(rows)


def test_every_file_has_its_own_outcome_and_a_lost_one_can_be_sent_again(open_page: Open) -> None:
    seen: list[str] = []
    page = open_page(UPLOAD, answer=answer_by_name(seen))
    page.evaluate(SUM_UP)
    choose(
        page, ["good-1.png", "bad-1.png", "known-1.png", "lost-1.png", "busy-1.png", "good-2.png"]
    )
    page.locator("body[data-sum]").wait_for()

    assert outcomes(page) == {
        "good-1.png": "accepted", "bad-1.png": "refused", "known-1.png": "existing",
        "lost-1.png": "lost", "busy-1.png": "lost", "good-2.png": "accepted",
    }  # fmt: skip
    assert json.loads(page.locator("body").get_attribute("data-sum")) == {
        "accepted": 2,
        "existing": 1,
        "refused": 1,
        "kept": 0,
        "lost": 2,
    }
    assert page.locator(".upload-row i").count() == 0
    assert page.locator(".is-refused a").count() == 0
    assert page.locator(".is-existing a").get_attribute("href") == "/studies/1/"

    page.click("[data-upload-retry-all]")
    page.locator("body[data-sum*='\"accepted\":4']").wait_for()
    assert sorted(seen) == sorted([*outcomes(page), "lost-1.png", "busy-1.png"])


def test_at_most_three_files_travel_at_once_and_leaving_asks(open_page: Open) -> None:
    held: list[Any] = []
    page = open_page(UPLOAD, answer=held.append)
    choose(page, [f"good-{number}.png" for number in range(5)])
    page.locator(".is-sending, .is-checking").nth(2).wait_for()

    assert len(held) == 3
    assert page.locator(".is-waiting").count() == 2
    assert page.evaluate(ASKS_BEFORE_LEAVING)
    for done in range(1, 6):
        answer_by_name([])(held.pop(0))
        page.locator(".is-accepted").nth(done - 1).wait_for()
    assert not page.evaluate("document.querySelector('#upload').upload.isBusy()")
    assert page.locator(".is-accepted").count() == 5


def test_a_chosen_brightness_stays_and_reading_is_a_dark_theme(open_page: Open) -> None:
    page = open_page(VIEWER)
    page.evaluate("document.querySelector('[data-theme-choice=reading]').click()")
    page.reload()
    theme = page.evaluate("({...document.documentElement.dataset})")

    assert theme == {"theme": "reading", "bsTheme": "dark"}


def test_keys_are_left_alone_while_somebody_types(open_page: Open) -> None:
    page = open_page(VIEWER)
    ready(page)
    page.locator("#note").fill("")
    page.locator("#note").press_sequentially("b?+h")

    assert page.evaluate(STATE)["boxes"] == 2
    assert page.locator("#keys").is_hidden()
    assert page.locator("#note").input_value() == "b?+h"
    page.locator("#note").blur()
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
