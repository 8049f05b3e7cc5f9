"""The main walk in Arabic; and whatever the direction of text, left on a radiograph stays left."""

import re

import numpy as np
import pytest
from django.utils import translation
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from tests.diagnosis.test_reports import text_of
from tests.e2e.test_main_loop import SCREENS, watched
from tests.e2e.test_reading import picture, study_of
from tests.e2e.viewer_world import VIEWER, Desk, a_study
from tests.factories import PASSWORD, ClinicFactory, MembershipFactory

expect.set_options(timeout=20_000)
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.e2e,
    pytest.mark.timeout(600),  # seconds; three walks through the site
]
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WALL = {"viewport": {"width": 3840, "height": 2160}}


def arabic(words: str) -> str:
    with translation.override("ar"):
        return translation.gettext(words)


def looked_at(page: Page, name: str) -> None:
    """The page is Arabic, runs from the right and is not wider than the screen."""
    root = page.locator("html")
    assert (root.get_attribute("lang"), root.get_attribute("dir")) == ("ar", "rtl")
    picture(page, f"arabic-{name}")
    assert page.evaluate(WIDER) <= 0, f"{name} is wider than the screen"


@pytest.mark.parametrize("screen", [*SCREENS, "wall"])
def test_a_doctor_signs_in_reads_and_signs_in_arabic(live_server, chromium: Browser, screen):
    doctor = MembershipFactory(doctor=True, clinic=ClinicFactory(language="ar"))
    study_of(doctor)
    context = chromium.new_context(**(SCREENS | {"wall": WALL})[screen], locale="ar-EG")
    page = context.new_page()
    problems = watched(page)
    page.goto(live_server.url)
    looked_at(page, f"{screen}-1-sign-in")
    page.fill("input[name=login]", doctor.user.email)
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name=arabic("Sign in"), exact=True).click()
    expect(page.get_by_role("heading", name=arabic("Worklist"))).to_be_visible()
    looked_at(page, f"{screen}-2-worklist")
    if screen == "wall":  # a screen of eight million pixels is not left empty
        assert page.evaluate("document.querySelector('main').clientWidth / innerWidth") > 0.5
    page.locator(".work-link").first.click()
    expect(page.locator("[data-viewer-loading]").first).to_be_hidden()
    expect(page.locator("#findings-panel .finding")).to_have_count(2)
    looked_at(page, f"{screen}-3-study")
    page.get_by_role("button", name=arabic("Write the report")).click()
    expect(page.get_by_role("textbox", name=arabic("Findings"))).to_have_value(
        re.compile(arabic("fracture at the marked place"))
    )
    looked_at(page, f"{screen}-4-report")
    page.get_by_label(arabic("Your password")).fill(PASSWORD)
    page.get_by_role("button", name=arabic("Sign the report")).click()
    expect(page.get_by_text(arabic("The report is signed."))).to_be_visible()
    link = page.get_by_role("link", name="PDF").get_attribute("href")
    pdf = context.request.get(f"{live_server.url}{link}").body()
    looked_at(page, f"{screen}-5-signed")
    page.goto(f"{live_server.url}/macros/")  # leaving gives the study back
    page.wait_for_load_state("networkidle")
    context.close()

    assert doctor.user.full_name in text_of(pdf)
    assert problems == []


def test_the_picture_and_its_marks_do_not_turn_with_the_text(live_server, chromium: Browser):
    world = a_study("png16")
    here = Desk(chromium, live_server.url, world)
    shown, boxes = {}, {}
    for language, direction in (("en", "ltr"), ("ar", "rtl")):
        User.objects.update(language=language)
        here.open("png16")
        assert here.page.locator("html").get_attribute("dir") == direction
        box = here.page.locator(".viewer-marks .definite .line").first
        box.wait_for()
        stage = here.page.locator("[data-viewer-stage]").first.bounding_box()
        edge = box.bounding_box()
        boxes[language] = (edge["x"] - stage["x"], edge["y"] - stage["y"], edge["width"])
        here.page.evaluate(f"{VIEWER}.toggleBoxes(false)")
        expect(here.page.locator(".viewer-marks g")).to_have_count(0)
        shown[language] = here.picture()
    here.close()

    assert boxes["ar"] == pytest.approx(boxes["en"], abs=1)
    assert np.abs(shown["en"] - shown["ar"]).mean() < 2
    assert np.abs(shown["en"] - shown["en"][:, ::-1]).mean() > 5, "the picture must have a left"
