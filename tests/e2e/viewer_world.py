"""A study with images of every kind the viewer must tell apart, and hands to use it with."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

from accounts.models import Membership
from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, Study, StudyImage
from diagnosis.services.study_results import study_refresh
from diagnosis.services.uploads import image_upload
from diagnosis.storage import object_put
from ml.data.synthetic import synthetic_radiograph
from ml.data.synthetic_files import to_dicom, to_png
from tests.factories import (
    PASSWORD,
    AnalysisFactory,
    FindingFactory,
    MembershipFactory,
    PatientFactory,
    StudyFactory,
)

INFO = "document.querySelector('[data-viewer-info]').textContent"
TEXTS = "[...document.querySelectorAll('.svg-layer text')].map((each) => each.textContent)"
VIEWER = "document.querySelector('#viewer').viewer"


def radiograph(seed: int) -> np.ndarray:
    """Twelve bits, tall, with detail that shows a shift of a pixel."""
    drawn = synthetic_radiograph(seed, region="forearm", fractured=True).pixels.astype(np.float64)
    top = drawn.max() or 1
    return (drawn / top * 4000).astype(np.uint16)


FILES = {
    "detector": lambda: to_dicom(radiograph(1)),
    "patient": lambda: to_dicom(radiograph(2), attributes={"PixelSpacing": [0.5, 0.5]}),
    "inverted": lambda: to_dicom(radiograph(3), photometric="MONOCHROME1"),
    "png16": lambda: to_png(radiograph(4)),
    "stack": lambda: frames_of(4),
}


def frames_of(count: int) -> bytes:
    """A multi-frame object; each frame is a little brighter."""
    frames = np.stack([radiograph(5) // 2 + 300 * index for index in range(count)])
    tall = frames.reshape(-1, frames.shape[2]).astype(np.uint16)
    attributes = {"NumberOfFrames": count, "Rows": frames.shape[1]}
    return to_dicom(tall, modality="XA", attributes=attributes)


@dataclass
class World:
    """One doctor's clinic with a study."""

    member: Membership
    study: Study
    images: dict[str, StudyImage]

    def address(self, name: str) -> str:
        return f"/studies/{self.study.pk}/?image={self.images[name].pk}"


def a_study(*names: str, member: Membership | None = None, study: Study | None = None) -> World:
    """Upload the named files as a doctor; the first one gets a finding and a heatmap."""
    doctor = member or MembershipFactory(doctor=True)
    study = study or StudyFactory(patient=PatientFactory(clinic=doctor.clinic))
    images = {}
    for name in names:
        with clinic_scope(doctor.clinic_id):
            upload = image_upload(actor=doctor.user, study=study, data=FILES[name]())
            images[name] = upload.image
            Analysis.objects.filter(image=upload.image).delete()
    with_finding(images[names[0]])
    with clinic_scope(doctor.clinic_id):
        study_refresh(study_id=study.pk)
    return World(doctor, study, images)


def with_finding(image: StudyImage) -> SimpleNamespace:
    """Give the image a definite finding in its middle and a heatmap."""
    out = io.BytesIO()
    Image.fromarray(np.full((40, 30), 200, dtype=np.uint8)).save(out, "PNG")
    run = AnalysisFactory(
        image=image,
        clinic=image.clinic,
        succeeded=True,
        heatmap_key=object_put(data=out.getvalue(), kind="heatmaps", content_type="image/png"),
    )
    box = {"x": image.width * 0.4, "y": image.height * 0.4, "width": 60.0, "height": 50.0}
    return SimpleNamespace(run=run, finding=FindingFactory(analysis=run, clinic=run.clinic, **box))


class Desk:
    """A signed-in browser page on a study; its console must stay empty."""

    def __init__(self, browser: Browser, base: str, world: World, **screen: Any) -> None:
        # A service worker would hide requests from the tests that hold or refuse them.
        options = {"viewport": {"width": 1280, "height": 860}, "service_workers": "block", **screen}
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.base, self.world = base, world
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._heard)
        # Leaving the page gives the study back: a request that would meet the emptied database.
        self.context.route("**/claim/", lambda route: route.fulfill(status=204))
        self._sign_in()

    def _heard(self, message: Any) -> None:
        if message.type == "error" or "Content Security" in message.text:
            self.problems.append(message.text)

    def _sign_in(self) -> None:
        self.page.goto(self.base)
        self.page.fill("input[name=login]", self.world.member.user.email)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        self.page.get_by_role("heading", name="Worklist").wait_for()

    def open(self, name: str, *, full: bool = True) -> None:
        self.page.goto(self.base + self.world.address(name))
        self.ready(full=full)

    def ready(self, *, full: bool = True) -> None:
        self.page.locator("#viewer.is-diagnostic").wait_for()
        if full:
            self.page.locator("[data-viewer-stage][data-depth=full]").first.wait_for()

    def at(self, x: float, y: float, stage: int = 0) -> tuple[float, float]:
        """A place on the stage, in its pixels, as one of the page."""
        edge = self.page.locator("[data-viewer-stage]").nth(stage).bounding_box()
        assert edge
        return edge["x"] + x, edge["y"] + y

    def drag(self, start: tuple[float, float], end: tuple[float, float], stage: int = 0) -> None:
        mouse = self.page.mouse
        mouse.move(*self.at(*start, stage))
        mouse.down()
        mouse.move(*self.at((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, stage), steps=2)
        mouse.move(*self.at(*end, stage), steps=2)
        mouse.up()

    def answer(self, text: str) -> None:
        """Fill the viewer's question."""
        self.page.locator("[data-viewer-ask] input").fill(text)
        self.page.keyboard.press("Enter")
        self.page.locator("[data-viewer-ask]").wait_for(state="hidden")

    def until(self, expression: str, holds: Callable[[Any], bool]) -> Any:
        """Ask the page again and again; a busy machine draws late."""
        for _attempt in range(100):
            value = self.page.evaluate(expression)
            if holds(value):
                return value
            self.page.wait_for_timeout(100)
        raise AssertionError(value)

    def texts(self, expected: str) -> list[str]:
        """Wait for a text beside a drawing and return all of them."""
        self.page.locator(".svg-layer text", has_text=expected).first.wait_for()
        return self.page.evaluate(TEXTS)

    def saved(self, kind: str, action: Any) -> Any:
        """Do something and wait until the server has kept it."""
        with self.page.expect_response(
            lambda answer: kind in answer.url and answer.request.method in {"PUT", "POST", "DELETE"}
        ) as answer:
            action()
        return answer.value

    def picture(self) -> np.ndarray:
        """The film itself as grey values, without the notes at its lower edge."""
        edge = self.page.locator("[data-viewer-stage]").first.bounding_box()
        assert edge
        clip = {**edge, "height": edge["height"] - 40}
        shot = Image.open(io.BytesIO(self.page.screenshot(clip=clip)))
        return np.asarray(shot.convert("L"), dtype=np.int16)

    def close(self) -> None:
        self.context.close()
        assert self.problems == []
