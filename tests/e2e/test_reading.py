"""Reading in a browser: findings by keyboard and by drawing, beside the image."""

import json
import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.tenancy import clinic_scope
from diagnosis.models import DraftCopy, FindingReview, FirstRead, StudyImage
from diagnosis.services.drafting import macro_save
from diagnosis.services.reports import report_create, report_draft_update
from tests.diagnosis.test_reports import readable_study
from tests.e2e.test_main_loop import SCREENS, sign_in, watched
from tests.factories import FindingFactory, MembershipFactory
from tests.support.worker import wait_for

expect.set_options(timeout=20_000)
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
COLLECT = """for (const name of ["fs:findings-changed", "fs:edit-mode"])
  document.addEventListener(name, ({detail}) => { ((window.told ??= {})[name] ??= []).push(detail); });
"""  # noqa: E501


def picture(page: Page, name: str) -> None:
    """Keep a screenshot where ``SCREENSHOTS`` says, for people who want to look."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def study_of(doctor):
    study = readable_study(doctor)
    with clinic_scope(doctor.clinic_id):
        image = study.images.get()
        analysis = image.analyses.get()
        key = image.rendition_keys[0]
        StudyImage.objects.update(
            thumbnail_key=key, served_key=key, served_content_type="image/jpeg"
        )
    FindingFactory(
        analysis=analysis, x=150.0, y=240.0, width=80.0, height=60.0, probability=0.41,
        certainty="suspicion", fracture_type="transverse", severity="mild",
    )  # fmt: skip
    return study


def leave(page: Page, live_server) -> None:
    """Go before the database is emptied: leaving the page gives the study back."""
    page.goto(f"{live_server.url}/macros/")
    page.wait_for_load_state("networkidle")
    page.context.close()


@pytest.mark.parametrize("screen", SCREENS)
def test_findings_are_decided_without_leaving_the_page(live_server, chromium: Browser, screen):
    doctor = MembershipFactory(doctor=True)
    study = study_of(doctor)
    context = chromium.new_context(**SCREENS[screen])
    page = context.new_page()
    problems = watched(page)
    page.add_init_script(COLLECT)
    sign_in(page, live_server.url, doctor.user.email)
    page.goto(f"{live_server.url}/studies/{study.pk}/")
    panel = page.locator("#findings-panel")
    expect(panel.locator(".finding")).to_have_count(2)
    expect(panel).to_contain_text("AI suggests: transverse, mild")
    picture(page, f"findings-{screen}-1")

    page.keyboard.press("a")
    expect(panel.locator(".is-accepted")).to_have_count(1)
    expect(panel.locator(".is-selected.is-proposed")).to_have_count(1)  # on to the next one
    page.keyboard.press("r")
    expect(panel.get_by_role("button", name="Growth plate")).to_be_visible()
    picture(page, f"findings-{screen}-2")
    page.keyboard.press("2")
    expect(panel.locator(".is-rejected")).to_contain_text("Growth plate")
    page.keyboard.press("k")
    page.keyboard.press("e")
    panel.get_by_label("Bone").first.select_option("radius")
    panel.get_by_role("button", name="Save").first.click()
    expect(panel.locator(".is-accepted .finding-words")).to_have_text("Radius")

    page.keyboard.press("d")
    expect(panel.locator("[data-finding-hint]")).to_be_visible()
    page.evaluate(
        "(imageId) => document.dispatchEvent(new CustomEvent('fs:box-edited', {detail: "
        "{findingId: null, imageId, box: {x: 300, y: 100, width: 60, height: 50}}}))",
        page.locator("[data-viewer]").first.get_attribute("data-image-id"),
    )
    expect(panel.locator(".is-added")).to_have_count(1)
    picture(page, f"findings-{screen}-3")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0

    told = "window.told['fs:findings-changed'].at(-1).findings.length === 3"
    wait_for(lambda: page.evaluate(told))  # wait_for_function needs eval, which the policy forbids
    newest = page.evaluate("window.told['fs:findings-changed'].at(-1)")
    states = [(each["source"], each["state"]) for each in newest["findings"]]
    assert states == [("ai", "accepted"), ("ai", "rejected"), ("doctor", "added")]
    assert page.evaluate("window.told['fs:edit-mode'].at(-1).mode") == "add"
    leave(page, live_server)
    assert problems == [], json.dumps(problems)
    with clinic_scope(doctor.clinic_id):
        decisions = FindingReview.objects.order_by("created_at").values_list("decision", flat=True)
        assert list(decisions) == ["accepted", "rejected", "accepted", "added"]


def test_the_report_is_written_with_macros_and_survives_a_colleague(live_server, chromium: Browser):
    doctor = MembershipFactory(doctor=True)
    colleague = MembershipFactory(doctor=True, clinic=doctor.clinic)
    study = study_of(doctor)
    with clinic_scope(doctor.clinic_id):
        macro_save(
            actor=doctor.user, clinic_id=doctor.clinic_id, name="ctrl", text="Control in a week."
        )
        report = report_create(actor=doctor.user, study=study)
    context = chromium.new_context(**SCREENS["desktop"])
    page = context.new_page()
    problems = watched(page)
    sign_in(page, live_server.url, doctor.user.email)
    page.goto(f"{live_server.url}/studies/{study.pk}/")
    advice = page.get_by_role("textbox", name="Recommendation")
    advice.click()
    advice.press_sequentially("Cast. .ctrl")
    advice.press("Tab")
    expect(advice).to_have_value("Cast. Control in a week.")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()

    with clinic_scope(doctor.clinic_id):
        revision = report.versions.get().revision
        report_draft_update(
            actor=colleague.user, report=report, revision=revision, impression="Theirs."
        )
    impression = page.get_by_role("textbox", name="Impression")
    impression.fill("Mine.")
    conflict = page.locator("#report-conflict")
    expect(conflict).to_contain_text("Theirs.")
    picture(page, "report-conflict")
    conflict.get_by_role("button", name="Both, one below the other").click()
    expect(impression).to_have_value("Theirs.\n\nMine.")
    expect(conflict).to_be_hidden()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Normal study").click()
    expect(impression).to_have_value("No fracture seen.")
    picture(page, "report-editor")
    leave(page, live_server)
    assert problems == []
    with clinic_scope(doctor.clinic_id):
        kept = {copy.texts["impression"] for copy in DraftCopy.objects.all()}
        assert kept == {"Theirs.", "Mine."}


@pytest.mark.parametrize("screen", SCREENS)
def test_who_is_in_training_answers_before_the_ai_is_shown(live_server, chromium: Browser, screen):
    learner = MembershipFactory(doctor=True, in_training=True)
    study = study_of(learner)
    context = chromium.new_context(**SCREENS[screen])
    page = context.new_page()
    problems = watched(page)
    sign_in(page, live_server.url, learner.user.email)
    page.goto(f"{live_server.url}/studies/{study.pk}/")
    expect(page.get_by_role("heading", name="Is there a fracture?")).to_be_visible()
    page.evaluate(
        "(imageId) => document.dispatchEvent(new CustomEvent('fs:box-edited', {detail: "
        "{findingId: null, imageId, box: {x: 20, y: 30, width: 60, height: 50}}}))",
        page.locator("[data-viewer]").first.get_attribute("data-image-id"),
    )
    expect(page.locator("[data-first-read-count]")).to_contain_text("1")
    picture(page, f"first-read-{screen}")
    page.get_by_role("button", name="Unsure").click()
    expect(page.locator("#findings-panel .finding")).to_have_count(2)
    expect(page.get_by_text("Your first answer:")).to_be_visible()
    leave(page, live_server)
    assert problems == []
    with clinic_scope(learner.clinic_id):
        assert len(FirstRead.objects.get().places) == 1
