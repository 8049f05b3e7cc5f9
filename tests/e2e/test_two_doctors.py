"""Two doctors at one worklist: claims seen by each other, taking over, the keys, the phone."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.tenancy import clinic_scope
from diagnosis.models import StudyClaim, StudyImage
from diagnosis.services.study_results import study_refresh
from diagnosis.storage import object_put
from tests.diagnosis.documents.samples import picture_bytes
from tests.e2e.test_main_loop import SCREENS, sign_in, watched
from tests.factories import (
    AnalysisFactory,
    ClinicFactory,
    FindingFactory,
    MembershipFactory,
    PatientFactory,
    StudyFactory,
    StudyImageFactory,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]

PICTURES = os.environ.get("SCREENSHOTS", "")  # a folder to look at the screens afterwards


def look(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


def case(clinic, name: str, verdict: str, probability: float, **fields) -> StudyImage:
    fields.setdefault("patient", None)
    patient = fields.pop("patient") or PatientFactory(
        clinic=clinic, family_name=name, given_name=""
    )
    study = StudyFactory(patient=patient, **fields)
    data = picture_bytes(400, 500)
    keys = {
        kind: object_put(data=data, kind=kind, content_type="image/png")
        for kind in ("served", "renditions", "thumbnails")
    }
    image = StudyImageFactory(
        study=study,
        served_key=keys["served"],
        rendition_keys=[keys["renditions"]],
        thumbnail_key=keys["thumbnails"],
    )
    analysis = AnalysisFactory(
        image=image, succeeded=True, verdict=verdict, probability=probability
    )
    if verdict == "definite":
        FindingFactory(analysis=analysis)
    with clinic_scope(clinic.pk):
        study_refresh(study_id=study.pk)
    return image


def holder(clinic):
    with clinic_scope(clinic.pk):
        claim = StudyClaim.objects.select_related("doctor").first()
        return claim.doctor if claim else None


def test_two_doctors_share_a_worklist(live_server, chromium: Browser):
    clinic = ClinicFactory()
    ada, grace = (
        MembershipFactory(doctor=True, clinic=clinic, user__full_name=name).user
        for name in ("Ada", "Grace")
    )
    case(clinic, "Second", "suspicion", 0.41, body_part="ankle", side="right")
    case(clinic, "First", "definite", 0.97, body_part="wrist", side="left", priority=1)
    case(clinic, "Third", "negative", 0.02, body_part="knee")
    contexts = [chromium.new_context(**SCREENS[screen]) for screen in ("desktop", "phone")]
    one, two = (context.new_page() for context in contexts)
    problems = watched(one) + watched(two)
    sign_in(one, live_server.url, ada.email)
    names = one.locator(".work-who strong")
    expect(names).to_have_text(["First", "Second", "Third"])
    one.locator(".why").first.focus()
    expect(one.locator(".why-text").first).to_contain_text("AI: fracture")
    look(one, "worklist-desktop")

    one.wait_for_load_state("load")  # keys pressed before the scripts ran are nobody's
    one.keyboard.press("Escape")
    one.keyboard.press("j")
    one.keyboard.press("x")
    expect(one.locator("[data-bulk]")).to_contain_text("1 selected")
    one.keyboard.press("x")
    expect(one.locator("[data-bulk]")).to_be_hidden()
    one.keyboard.press("Enter")
    expect(one.locator("#study-claim")).to_contain_text("You are reading this study")
    assert holder(clinic) == ada
    look(one, "study-desktop")

    sign_in(two, live_server.url, grace.email)
    expect(two.locator(".work-row").first).to_contain_text("Ada is reading")
    assert two.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    look(two, "worklist-phone")
    two.locator(".work-link").first.click()
    expect(two.locator("#study-claim")).to_contain_text("Ada is reading this study")
    look(two, "study-phone")
    two.get_by_role("button", name="Take over").click()
    expect(two.locator("#study-claim")).to_contain_text("You are reading this study")
    assert holder(clinic) == grace
    assert two.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    expect(one.locator("#study-claim")).to_contain_text(
        "Grace is reading this study", timeout=40_000
    )

    one.keyboard.press("n")
    expect(one.locator("h1")).to_have_text("Second")
    expect(one.locator("#study-claim")).to_contain_text("You are reading this study")
    one.keyboard.press("p")
    expect(one.locator("h1")).to_have_text("First")
    two.get_by_role("button", name="Release").click()
    expect(two.locator("#study-claim")).to_contain_text("Nobody is reading this study")
    for context in contexts:
        context.close()
    assert problems == []


def test_two_ticked_studies_are_shown_beside_each_other(live_server, chromium: Browser):
    doctor = MembershipFactory(doctor=True)
    first = case(doctor.clinic, "Twice", "negative", 0.05)
    case(doctor.clinic, "Twice", "definite", 0.9, patient=first.study.patient)
    context = chromium.new_context(**SCREENS["desktop"])
    page = context.new_page()
    problems = watched(page)
    sign_in(page, live_server.url, doctor.user.email)
    page.goto(f"{live_server.url}/patients/{first.study.patient_id}/")
    for tick in page.locator("input[name=study]").all():
        tick.check()
    look(page, "patient")
    page.get_by_role("button", name="Compare the two ticked").click()
    expect(page.locator(".is-compared")).to_be_visible(timeout=40_000)
    expect(page.locator("[data-viewer-prior]")).to_have_value(f"/studies/{first.study_id}/views/")
    look(page, "compared")
    context.close()
    assert problems == []
