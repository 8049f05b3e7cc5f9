"""The diagnostic viewer in a real browser: millimetres, what is kept, comparing, no WebGL."""

import io
import re
from functools import partial

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from accounts.tenancy import clinic_scope
from diagnosis.models import Annotation, StudyKeyImage
from diagnosis.storage import object_read
from tests.e2e.viewer_world import INFO, TEXTS, VIEWER, Desk, a_study, radiograph
from tests.factories import MembershipFactory, StudyFactory
from tests.support.browser import chromium_path

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
A_MOMENT = "new Promise((go) => setTimeout(go, 160))"
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


def _hold(held, route, _request):
    held.append(route)


@pytest.fixture
def desk(live_server, chromium):
    """Return a function that opens a desk; each one ends with an empty console."""
    desks = []

    def sit_down(world, **screen):
        desks.append(Desk(chromium, live_server.url, world, **screen))
        return desks[-1]

    yield sit_down
    for each in desks:
        each.close()


def test_nothing_jumps_from_the_first_picture_to_full_depth(desk):
    names = ("detector", "inverted", "png16")
    here = desk(a_study(*names))
    page = here.page
    for name in names:
        held = []
        page.route("**/static/viewer/*.js", partial(_hold, held))
        page.route("**/file/?show", partial(_hold, held))
        page.goto(here.base + here.world.address(name))
        page.locator("[data-viewer-loading]").wait_for(state="hidden")
        page.evaluate(f"{VIEWER}.toggleBoxes(false)")
        expect.set_options(timeout=30_000)
        expect(page.locator(".viewer-marks g")).to_have_count(0)
        plain = here.picture()
        held.pop(0).continue_()
        page.unroute("**/static/viewer/*.js")
        here.ready(full=False)
        expect(page.locator("[data-depth=loading]")).to_have_count(1)
        preview = here.picture()
        held.pop(0).continue_()
        page.unroute("**/file/?show")
        here.ready()
        full = here.picture()
        assert plain.std() > 10
        assert np.abs(plain - preview).mean() < 2, name
        assert np.abs(preview - full).mean() < 2, name
        bits = here.world.images[name].bits
        assert f"full depth, {bits} bits" in page.evaluate(INFO)


def test_a_length_is_px_mm_or_calibrated_and_never_pretends(desk):
    here = desk(a_study("detector", "patient"))
    page = here.page
    here.open("detector")
    page.keyboard.press("l")
    here.saved("annotations", lambda: here.drag((100, 120), (200, 120)))
    (drawn,) = here.texts("px")
    pixels = float(drawn.removesuffix(" px"))
    zoom = page.evaluate(
        f"(({{active}}) => active.toImage([200, 0])[0] - active.toImage([100, 0])[0])"
        f"({VIEWER}.diagnostic)"
    )
    assert pixels == pytest.approx(zoom, abs=1)
    assert "spacing known at the detector only" in page.evaluate(INFO)

    page.keyboard.press("K")
    here.drag((100, 300), (150, 300))
    here.saved("annotations", lambda: here.answer("25"))
    texts = here.texts("calibrated")
    assert "50.0 mm (calibrated)" in texts
    assert "Calibration: 25 mm" in texts
    assert not [text for text in texts if text.endswith("px")]

    here.open("patient")
    page.keyboard.press("l")
    here.saved("annotations", lambda: here.drag((100, 120), (200, 120)))
    (drawn,) = here.texts("mm")
    assert float(drawn.removesuffix(" mm")) == pytest.approx(zoom * 0.5, rel=0.02)
    assert "mm in the patient" in page.evaluate(INFO)


def test_marks_are_kept_for_their_reader_and_two_windows_cannot_overwrite_each_other(desk):
    world = a_study("detector")
    here = desk(world)
    page = here.page
    here.open("detector")
    page.keyboard.press("l")
    here.saved("annotations", lambda: here.drag((100, 120), (200, 120)))
    page.keyboard.press("y")
    here.drag((300, 100), (300, 200))
    here.saved("annotations", lambda: page.mouse.click(*here.at(400, 200)))
    page.keyboard.press("C")
    here.drag((100, 400), (200, 400))
    here.saved("annotations", lambda: here.drag((100, 450), (200, 490)))
    page.keyboard.press("q")
    here.drag((500, 300), (450, 350))
    here.saved("annotations", lambda: here.answer("look here"))
    page.keyboard.press("t")
    page.mouse.click(*here.at(500, 500))
    here.saved("annotations", lambda: here.answer("<b>note</b>"))
    before = here.texts("note")
    assert {"90.0°", "21.8°", "look here", "<b>note</b>"} <= set(before)

    second = desk(world)
    second.open("detector")
    assert sorted(second.texts("note")) == sorted(before)
    page.keyboard.press("x")
    here.saved("annotations", lambda: here.drag((100, 120), (100, 160)))
    second.page.keyboard.press("x")
    refused = second.saved("annotations", lambda: second.drag((200, 120), (260, 60)))
    assert refused.status == 412
    second.page.get_by_text("changed in another window").wait_for()
    second.problems.clear()  # the browser logs the 412

    page.mouse.click(*here.at(200, 120))
    page.keyboard.press("x")
    here.saved("annotations", lambda: page.keyboard.press("Delete"))
    page.reload()
    here.ready()
    here.texts("note")
    with clinic_scope(world.member.clinic_id):
        kinds = sorted(Annotation.objects.values_list("kind", flat=True))
    assert kinds == ["angle", "arrow", "cobb", "text"]

    colleague = MembershipFactory(doctor=True, clinic=world.member.clinic)
    world.member = colleague
    other = desk(world)
    other.open("detector")
    assert other.page.evaluate(TEXTS) == []


def test_light_view_and_marks_of_the_ai_answer_keys(desk):
    here = desk(a_study("detector", "stack"))
    page = here.page
    here.open("detector")
    state = f"""(() => {{ const pane = {VIEWER}.diagnostic.active; const view = pane.viewport;
      return {{zoom: view.getZoom(), rotation: view.getViewPresentation().rotation ?? 0,
        flipped: view.getCamera().flipHorizontal,
        inverted: pane.isInverted, light: pane.lightText(),
        boxes: pane.overlay.svg.querySelectorAll("g").length, heat: pane.heatmap.isOn}}; }})()"""
    first = page.evaluate(state)
    assert (first["zoom"], first["rotation"], first["boxes"]) == (pytest.approx(1), 0, 1)
    here.drag((300, 300), (340, 260))
    assert page.evaluate(state)["light"] != first["light"]
    corner = f"{VIEWER}.diagnostic.active.toStage([0, 0])"
    before = page.evaluate(corner)
    page.keyboard.press(".")
    assert page.evaluate(corner)[0] > before[0] + 100  # turned right: its corner is at the right
    page.keyboard.press(",")
    assert page.evaluate(corner) == pytest.approx(before, abs=1)
    for key in ("+", ".", ">", "i", "h"):
        page.keyboard.press(key)
    page.locator("[data-viewer-heatmap]:not([hidden])").wait_for()
    changed = page.evaluate(state)
    assert changed["zoom"] == pytest.approx(1.3)
    assert (changed["flipped"], changed["inverted"]) == (True, True)
    assert changed["rotation"] % 180 == 90
    assert "MIRRORED" in page.evaluate(INFO)
    page.keyboard.press("o")
    page.locator("[data-viewer-heatmap][hidden]").wait_for(state="attached")
    assert page.evaluate(state)["boxes"] == 0
    page.keyboard.press("o")
    assert page.evaluate(state)["boxes"] == 1
    page.keyboard.press("Home")
    back = page.evaluate(state)
    assert {**back, "heat": False} == {**first, "heat": False}

    here.open("stack")
    assert "1 / 4" in page.evaluate(INFO)
    page.mouse.move(*here.at(300, 300))
    page.mouse.wheel(0, 120)
    page.locator("[data-viewer-info]", has_text="2 / 4").wait_for()
    page.keyboard.press("]")
    page.locator("[data-viewer-info]", has_text="3 / 4").wait_for()


def test_areas_and_densities_are_those_of_the_pixels_and_are_kept(desk):
    world = a_study("detector", "patient")
    here = desk(world)
    page = here.page
    region = f"""(() => {{ const {{active}} = {VIEWER}.diagnostic;
      return [active.toImage([340, 260]), active.toImage([400, 320])]; }})()"""
    for name, unit in (("detector", "px²"), ("patient", "mm²")):
        here.open(name)
        (left, top), (right, bottom) = page.evaluate(region)
        film = radiograph({"detector": 1, "patient": 2}[name]).astype(float)
        inside = film[round(top) : round(bottom), round(left) : round(right)]
        page.keyboard.press("R")
        here.saved("annotations", lambda: here.drag((340, 260), (400, 320)))
        texts = here.texts(unit)
        side = 0.5 if unit == "mm²" else 1.0
        expected = (right - left) * (bottom - top) * side**2
        assert number(texts, unit) == pytest.approx(expected, rel=0.05)
        assert number(texts, "Mean") == pytest.approx(inside.mean(), rel=0.05)
        assert number(texts, "SD") == pytest.approx(inside.std(), rel=0.1)

    here.open("patient")
    page.keyboard.press("E")
    here.saved("annotations", lambda: here.drag((300, 120), (330, 160)))
    page.keyboard.press("D")
    here.saved("annotations", lambda: page.mouse.click(*here.at(430, 160)))
    before = here.texts("mm²")
    page.reload()
    here.ready()
    here.until(TEXTS, lambda now: sorted(now) == sorted(before))
    with clinic_scope(world.member.clinic_id):
        kinds = sorted(Annotation.objects.values_list("kind", flat=True))
    assert kinds == ["ellipse", "probe", "rectangle", "rectangle"]


def number(texts: list[str], word: str) -> float:
    (found,) = [text for text in texts if word in text]
    pattern = rf"([\d.]+) {word}" if word.endswith("²") else rf"{word} ([\d.]+)"
    return float(re.findall(pattern, found)[0])


def test_frames_play_by_a_key_and_stop_when_somebody_scrolls(desk):
    here = desk(a_study("stack", "detector"))
    page = here.page
    here.open("stack")
    shown = f"{VIEWER}.diagnostic.active.index"
    play = page.get_by_role("button", name="Play the frames")
    page.keyboard.press("}")
    expect(page.locator("[data-viewer-speed]")).to_have_value("15")
    page.keyboard.press("P")
    expect(play).to_have_attribute("aria-pressed", "true")
    here.until(shown, lambda now: now == 3)
    here.until(shown, lambda now: now == 1)  # round again
    page.keyboard.press("]")
    expect(play).to_have_attribute("aria-pressed", "false")
    stopped = page.evaluate(shown)
    page.evaluate(A_MOMENT)
    assert page.evaluate(shown) == stopped
    page.locator("[data-viewer-view]").nth(1).click()
    expect(play).to_be_hidden()


def test_all_views_and_a_prior_hang_in_a_grid_and_go_without_a_trace(desk):
    prior = a_study("patient", "inverted")
    with clinic_scope(prior.member.clinic_id):
        later = StudyFactory(patient=prior.study.patient, clinic=prior.member.clinic)
    world = a_study("detector", "png16", "stack", member=prior.member, study=later)
    here = desk(world)
    page = here.page
    here.open("detector")
    page.locator("[data-viewer-opens=compare]").click()
    page.locator("[data-viewer-prior]").select_option(index=1)
    page.locator("[data-viewer-stage][data-depth=full]").nth(1).wait_for()
    shown = f"{VIEWER}.diagnostic.panes.map((pane) => pane.imageId)"
    now = [str(world.images[name].pk) for name in ("detector", "png16", "stack")]
    old = [str(prior.images[name].pk) for name in ("patient", "inverted")]
    page.keyboard.press("V")
    assert here.until(shown, lambda ids: len(ids) == 4) == [*now, old[0]]
    edges = page.locator("[data-viewer-stage]").evaluate_all(
        "(all) => all.map((each) => each.getBoundingClientRect())"
        ".map(({x, y, width}) => [Math.round(x), Math.round(y), Math.round(width)])"
    )
    (left, top, _), (right, _, _), (_, below, _), _ = edges
    assert right > left
    assert below > top
    assert len({width for _, _, width in edges}) == 1
    page.get_by_label("Its image").select_option(index=1)
    here.until(shown, lambda ids: ids == [*now, old[1]])
    page.locator("[data-viewer-stage][data-depth=full]").nth(3).wait_for()
    page.keyboard.press("+")
    zooms = page.evaluate(f"{VIEWER}.diagnostic.panes.map((pane) => pane.viewport.getZoom())")
    assert zooms == pytest.approx([zooms[0]] * 4)
    answer = here.saved("key-images", lambda: page.keyboard.press("s"))
    assert answer.status == 201
    page.keyboard.press("V")
    expect(page.locator("[data-viewer-stage]")).to_have_count(1)
    page.keyboard.press("o")  # what is gone hears nothing of it
    page.keyboard.press("v")
    expect(page.locator("[data-viewer-stage]")).to_have_count(2)


def test_a_prior_study_stands_beside_this_one_and_moves_along(desk):
    world = a_study("detector")
    with clinic_scope(world.member.clinic_id):
        later = StudyFactory(patient=world.study.patient, clinic=world.member.clinic)
    prior, world = world, a_study("patient", member=world.member, study=later)
    here = desk(world)
    page = here.page
    here.open("patient")
    page.locator("[data-viewer-opens=compare]").click()
    page.locator("[data-viewer-prior]").select_option(index=1)
    page.locator("[data-viewer-stage][data-depth=full]").nth(1).wait_for()
    shown = f"{VIEWER}.diagnostic.panes.map((pane) => pane.imageId)"
    assert page.evaluate(shown) == [
        str(world.images["patient"].pk),
        str(prior.images["detector"].pk),
    ]
    expect(page.locator(".viewer-note", has_text="Earlier study · Jan 1, 2026")).to_be_visible()
    zooms = f"{VIEWER}.diagnostic.panes.map((pane) => pane.viewport.getZoom())"
    page.keyboard.press("+")
    assert page.evaluate(zooms) == pytest.approx([1.3, 1.3])
    page.locator("[data-viewer-link=view]").uncheck()
    page.keyboard.press("+")
    one, two = page.evaluate(zooms)
    assert abs(one - two) > 0.2
    page.locator("[data-viewer-prior]").select_option(index=0)
    expect(page.locator("[data-viewer-stage]")).to_have_count(1)


def test_a_key_image_shows_what_was_drawn_over_it(desk):
    here = desk(a_study("detector"))
    here.open("detector")
    answer = here.saved("key-images", lambda: here.page.keyboard.press("s"))
    assert answer.status == 201
    here.page.get_by_text("kept for the report").wait_for()
    with clinic_scope(here.world.member.clinic_id):
        kept = StudyKeyImage.objects.get()
        picture = np.asarray(Image.open(io.BytesIO(object_read(kept.object_key))))
    red = (picture[..., 0] > 200) & (picture[..., 1] < 120) & (picture[..., 2] < 120)
    assert red.sum() > 50  # the box of the AI's finding
    film = (picture.max(axis=2) - picture.min(axis=2) == 0) & (picture[..., 0] > 40)
    assert film.mean() > 0.02


def test_a_finger_moves_two_fingers_zoom_and_a_resting_one_magnifies(desk):
    here = desk(a_study("detector"), **PHONE)
    page = here.page
    here.open("detector")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    touch = here.context.new_cdp_session(page)

    def fingers(kind, *points):
        at = [{"x": x, "y": y} for x, y in (here.at(*point) for point in points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
        page.evaluate(A_MOMENT)  # hands are slower than a script, and that is how they are told

    view = f"{VIEWER}.diagnostic.active.view()"
    fingers("touchStart", (120, 200), (200, 200))
    for step in range(1, 6):
        fingers("touchMove", (120 - 12 * step, 200), (200 + 12 * step, 200))
    fingers("touchEnd")
    zoomed = here.until(view, lambda now: now["zoom"] > 1.2)
    fingers("touchStart", (160, 200))
    for step in range(1, 6):
        fingers("touchMove", (160 + 8 * step, 200))
    fingers("touchEnd")
    here.until(view, lambda now: now["pan"][0] > zoomed["pan"][0] + 20)
    fingers("touchStart", (160, 220))
    page.locator(".magnifyTool").wait_for()
    fingers("touchEnd")
    expect(page.locator(".magnifyTool")).to_have_count(0)


def test_without_webgl_the_plain_viewer_reads_and_edits_boxes(live_server, chromium):
    world = a_study("detector")
    path, options = chromium_path(), ["--no-sandbox", "--disable-3d-apis"]
    with chromium.browser_type.launch(executable_path=path, args=options) as browser:
        here = Desk(browser, live_server.url, world)
        page = here.page
        page.goto(live_server.url + world.address("detector"))
        page.locator("[data-viewer-plain-note]").wait_for(state="attached")
        expect(page.locator(".viewer-marks g")).to_have_count(1)
        assert page.evaluate(f"{VIEWER}.diagnostic === undefined")
        page.keyboard.press("d")
        page.locator(".viewer-stage.is-editing").wait_for()
        here.drag((150, 150), (260, 240))
        expect(page.locator(".viewer-marks .own")).to_have_count(1)
        here.close()
