"""A technician's day: register, then pictures by dialog, by drag, by camera and offline."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from accounts.models import Membership
from accounts.tenancy import clinic_scope
from diagnosis.models import StudyImage
from diagnosis.services.model_stages import shipped_sync
from tests.factories import PASSWORD, MembershipFactory
from tests.support.cameras import (
    browser_with_camera,
    camera_file,
    film_in_view,
    fractured_radiographs,
    synthetic,
)
from tests.support.worker import wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.e2e,
    pytest.mark.timeout(600),  # seconds; a model runs in the browser, on a slow machine too
]
SLOW = 120_000
DROP = """([name, packed]) => {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, {type: "image/png"}));
  const zone = document.querySelector("[data-upload-drop]");
  for (const type of ["dragenter", "dragover", "drop"])
    zone.dispatchEvent(new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer}));
}"""


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def file_of(name: str, data: bytes) -> dict:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def registered(page: Page, base: str, member: Membership) -> str:
    """Sign in, register a patient and a study; return the study's address."""
    page.goto(base)
    page.fill("input[name=login]", member.user.email)
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Worklist")).to_be_visible(timeout=SLOW)
    page.goto(f"{base}/patients/new/")
    page.get_by_label("Record number").fill("E2E-1")
    page.get_by_label("Family name").fill("Browser")
    page.get_by_role("button", name="Register").click()
    page.get_by_role("link", name="New study").click()
    page.get_by_label("Clinical question").fill("Fall")
    page.get_by_role("button", name="Go on to the images").click()
    page.locator("[data-upload-drop]").wait_for()
    return re.sub(r"[?#].*", "", page.url)


def test_pictures_come_by_dialog_by_drag_by_camera_and_without_a_connection(
    live_server, chromium, tmp_path
):
    shipped_sync()
    member = MembershipFactory(technician=True)
    [film], is_real = fractured_radiographs(1)
    clip = camera_file(tmp_path / "film.y4m", film_in_view(film))
    with browser_with_camera(chromium, clip) as browser:
        page = browser.new_context(permissions=["camera"]).new_page()
        page.set_default_timeout(SLOW)
        study = registered(page, live_server.url, member)

        def arrived(count: int) -> None:
            with clinic_scope(member.clinic_id):
                wait_for(lambda: StudyImage.objects.count() == count)

        with page.expect_file_chooser() as dialog:
            page.locator("[data-upload-drop]").click()
        dialog.value.set_files(file_of("dialog.png", png(synthetic(1, fractured=True))))
        arrived(1)
        page.locator("#viewer").wait_for()  # the page shows it by itself
        page.get_by_text("Add images").click()
        dragged = base64.b64encode(png(synthetic(2, fractured=False))).decode()
        page.evaluate(DROP, ["dragged.png", dragged])
        arrived(2)
        page.locator(".views a").nth(1).wait_for()

        page.goto(f"{live_server.url}/live/?study={study.rstrip('/').rsplit('/', 1)[1]}")
        assert page.locator("#upload input[type=file]").count() == 0  # nothing goes by itself
        page.get_by_role("button", name="Download the model").click()
        start = page.get_by_role("button", name="Start the camera")
        expect(start).to_be_enabled(timeout=SLOW)
        page.locator("[data-live-file]").set_input_files(file_of("film.png", png(film)))
        expect(page.locator("[data-live-words]")).to_contain_text("%", timeout=SLOW)
        if is_real:
            expect(page.locator("[data-live-marks] .line").first).to_be_attached()
        start.click()
        expect(page.locator("[data-live-speed]")).to_contain_text("second", timeout=SLOW)
        page.get_by_role("button", name="Freeze").click()
        arrived(2)  # looking sends nothing
        page.get_by_role("button", name="Send this picture").click()
        arrived(3)

        page.goto(study)
        page.get_by_text("Add images").click()
        with page.expect_response("**/live/model/"):
            page.reload()  # the model that this browser keeps is made ready
        page.wait_for_load_state("networkidle")
        page.get_by_text("Add images").click()
        page.context.set_offline(True)
        waiting = file_of("waiting.png", png(synthetic(4, fractured=True)))
        page.locator("[data-upload-input]").set_input_files(waiting)
        row = page.locator("#upload .upload-row.is-kept")
        row.get_by_role("button", name="First look").click()
        expect(row).to_contain_text("A preview, not a result", timeout=SLOW)
        expect(row.locator("[data-look-answer]")).to_contain_text("%")
        page.context.set_offline(False)
        arrived(4)
