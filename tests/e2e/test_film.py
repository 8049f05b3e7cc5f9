"""Photographing a film in Chromium with a fake camera: the good photo, the blurred one, a phone."""

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from accounts.tenancy import clinic_scope
from diagnosis import tasks
from diagnosis.models import Analysis, StudyImage
from diagnosis.services.model_stages import shipped_sync
from tests.e2e.viewer_world import Desk, World
from tests.factories import MembershipFactory, PatientFactory, StudyFactory
from tests.support.browser import chromium_path
from tests.support.film_scene import CORNERS, jpeg, photographed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
CAMERA = (
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
)
expect.set_options(timeout=40_000)
VALUES = "document.querySelector('[data-film]').film.corners.values"


@pytest.fixture
def world() -> World:
    doctor = MembershipFactory(doctor=True)
    return World(doctor, StudyFactory(patient=PatientFactory(clinic=doctor.clinic)), {})


@pytest.fixture
def with_camera(live_server, chromium, world, tmp_path):
    """Return a function that opens the page with a camera that sees a picture."""
    open_browsers = []

    def look_at(photo: np.ndarray, **screen) -> Desk:
        scene = Path(tmp_path / "scene.mjpeg")
        scene.write_bytes(jpeg(photo, 95) * 2)
        browser = chromium.browser_type.launch(
            executable_path=chromium_path(),
            args=[*CAMERA, f"--use-file-for-fake-video-capture={scene}"],
        )
        open_browsers.append(browser)
        here = Desk(browser, live_server.url, world, **screen)
        here.page.goto(f"{live_server.url}/studies/{world.study.pk}/film/")
        here.page.locator("[data-film].has-camera").wait_for()
        return here

    yield look_at
    for browser in open_browsers:
        browser.close()


def test_a_film_is_photographed_straightened_and_analysed(with_camera, world):
    shipped_sync()
    here = with_camera(photographed())
    page = here.page
    expect(page.locator("[data-film-say]")).to_have_attribute("data-code", "good")
    page.get_by_role("button", name="Take the photo").click()
    expect(page.locator("[data-film-say]")).to_have_attribute("data-code", "found")
    assert np.abs(np.array(page.evaluate(VALUES)) - CORNERS).max() < 0.01

    corner = page.get_by_role("button", name="Corner at the top left")
    expect(corner).to_be_focused()
    before = page.evaluate(VALUES)[0]
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowDown")
    moved = page.evaluate(VALUES)[0]
    assert moved == pytest.approx([before[0] - 0.02, before[1] + 0.002])
    edge = corner.bounding_box()
    x, y = edge["x"] + edge["width"] / 2, edge["y"] + edge["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 10, y + 5, steps=2)
    page.mouse.up()
    dragged = page.evaluate(VALUES)[0]
    assert dragged[0] > moved[0]
    assert dragged[1] > moved[1]

    page.get_by_role("button", name="Use this photo").click()
    expect(page.locator(".upload-row.is-accepted")).to_contain_text("lower trust")
    assert tasks.run_next_analysis() == 1
    with clinic_scope(world.member.clinic_id):
        image = StudyImage.objects.get()
        assert image.capture == "film_photo"
        assert image.capture_details["corners"][0] == pytest.approx(dragged, abs=1e-4)
        assert "photo_of_film" in Analysis.objects.get().warnings
    page.get_by_role("link", name="Go to the study").click()
    expect(page.locator(".film-note")).to_contain_text("Lower trust")
    here.close()


def test_a_blurred_frame_is_refused_with_the_reason_and_nothing_is_sent(with_camera, world):
    here = with_camera(photographed(blur=9))
    page = here.page
    asked: list[str] = []
    page.on("request", lambda request: request.method == "POST" and asked.append(request.url))
    expect(page.locator("[data-film-say]")).to_have_attribute("data-code", "photo_blurred")
    page.get_by_role("button", name="Take the photo").click()
    expect(page.locator("[data-film]")).to_have_attribute("data-refused", "photo_blurred")
    expect(page.locator("[data-film-say]")).to_contain_text("Hold the camera still")
    expect(page.get_by_role("button", name="Use this photo")).to_be_hidden()
    assert asked == []
    here.close()


def test_on_a_phone_corners_follow_the_finger_and_a_tilted_film_is_refused(with_camera, world):
    here = with_camera(photographed(), **PHONE)
    page = here.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Take the photo").tap()
    expect(page.locator("[data-film-say]")).to_have_attribute("data-code", "found")
    corner = page.get_by_role("button", name="Corner at the top left")
    edge = corner.bounding_box()
    assert min(edge["width"], edge["height"]) >= 44
    x, y = edge["x"] + edge["width"] / 2, edge["y"] + edge["height"] / 2
    touch = here.context.new_cdp_session(page)

    def finger(kind, *points):
        at = [{"x": left, "y": top} for left, top in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    before = page.evaluate(VALUES)[0]
    finger("touchStart", (x, y))
    finger("touchMove", (x + 40, y + 60))
    finger("touchEnd")
    here.until(VALUES, lambda now: now[0][0] > before[0] + 0.05 and now[0][1] > before[1] + 0.05)
    expect(page.locator("[data-film-say]")).to_have_attribute("data-code", "photo_tilted")
    expect(page.get_by_role("button", name="Use this photo")).to_be_disabled()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    here.close()


def test_browser_and_server_measure_a_photo_alike(live_server, chromium, world):
    """The hint before the upload and the refusal after it must not contradict each other."""
    from ml.film import measure_film

    here = Desk(chromium, live_server.url, world)
    here.page.goto(f"{live_server.url}/studies/{world.study.pk}/film/")
    for blur in (0.0, 2.0, 7.0):
        photo = photographed(blur=blur)
        values = here.page.evaluate(
            """async (bytes) => {
              const { greyOf, measure } = await import("/static/js/film-quality.js");
              const picture = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
              const canvas = document.createElement("canvas");
              [canvas.width, canvas.height] = [picture.width, picture.height];
              canvas.getContext("2d").drawImage(picture, 0, 0);
              return measure(greyOf(canvas)); }""",
            list(jpeg(photo)),
        )
        whole = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
        ours = measure_film(photo, whole, photo.shape)
        assert values["sharpness"] == pytest.approx(ours.sharpness, rel=0.2, abs=0.03)
        assert values["brightness"] == pytest.approx(ours.brightness, abs=0.02)
        assert values["glare"] == pytest.approx(ours.glare, abs=0.005)
    tilted = json.dumps([[0.35, 0.2], [0.65, 0.2], [0.95, 0.8], [0.05, 0.8]])
    found = here.page.evaluate(
        f"import('/static/js/film-quality.js').then((m) => m.tiltProblem({tilted}, 750, 1000))"
    )
    assert found == "photo_tilted"
    here.problems.clear()  # there is no camera here
    here.close()
