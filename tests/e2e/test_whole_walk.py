"""A doctor's day from the bell to the addendum: on a desk in daylight, on a phone at night.

Comparing, correcting and signing happen on one study; a preliminary answer that turns out wrong is
walked in Arabic. No word in the console, nothing refused by the policy or wider than the screen.
"""

import json
import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts.tenancy import clinic_scope
from diagnosis.models import (
    Alert,
    FindingReview,
    PreliminaryRead,
    RecallTask,
    ReportVersion,
    StudyClaim,
    StudyShare,
)
from tests.e2e.test_main_loop import SCREENS, watched
from tests.e2e.test_reading import leave, picture, study_of
from tests.e2e.test_right_to_left import arabic, looked_at
from tests.e2e.viewer_world import VIEWER, a_study
from tests.factories import (
    PASSWORD,
    AlertFactory,
    AlertRecipientFactory,
    ClinicFactory,
    MembershipFactory,
    StudyFactory,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.e2e,
    pytest.mark.timeout(600),  # seconds; long walks on a slow machine
]
THEMES = {"desktop": "light", "phone": "dark"}
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# What the policy refuses is told as an event also where the console stays silent.
REFUSED = """addEventListener("securitypolicyviolation", (event) =>
  console.error("refused by the policy", event.violatedDirective, event.blockedURI));"""


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=30_000)


def opened(context: BrowserContext) -> tuple[Page, list[str]]:
    """Return a page and the list of everything that goes wrong on it."""
    context.add_init_script(REFUSED)
    page = context.new_page()
    page.set_default_timeout(60_000)
    return page, watched(page)


def enter(page: Page, base: str, email: str) -> None:
    page.goto(base)
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.locator(".work-link").first.wait_for()


def fits(page: Page, name: str) -> None:
    picture(page, f"walk-{name}")
    assert page.evaluate(WIDER) <= 0, f"{name} is wider than the screen"


def dragged(page: Page, part: str, dx: int, dy: int) -> None:
    """Take hold of the middle of a part of the picture's marks."""
    page.locator("[data-viewer-stage]").first.scroll_into_view_if_needed()
    edge = page.locator(part).first.bounding_box()
    assert edge
    x, y = edge["x"] + edge["width"] / 2, edge["y"] + edge["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2, steps=3)
    page.mouse.move(x + dx, y + dy, steps=3)
    with page.expect_response(lambda answer: "/findings/" in answer.url) as answer:
        page.mouse.up()
    assert answer.value.ok


def a_day(doctor):
    """Return a world whose study waits with a critical result, and has a prior."""
    prior = a_study("patient", member=doctor)
    with clinic_scope(doctor.clinic_id):
        today = StudyFactory(patient=prior.study.patient, body_part="wrist")
    world = a_study("detector", member=doctor, study=today)
    alert = AlertFactory(study=today, clinic=doctor.clinic)
    AlertRecipientFactory(alert=alert, clinic=doctor.clinic, user=doctor.user)
    return world, prior


@pytest.mark.parametrize("screen", SCREENS)
def test_a_doctor_compares_corrects_signs_amends_and_asks_a_colleague(
    live_server, chromium: Browser, screen, settings
):
    settings.BASE_URL = live_server.url
    doctor = MembershipFactory(doctor=True)
    world, prior = a_day(doctor)
    theme = THEMES[screen]
    context = chromium.new_context(
        **SCREENS[screen], color_scheme=theme, service_workers="block", reduced_motion="reduce"
    )
    page, problems = opened(context)
    enter(page, live_server.url, doctor.user.email)
    assert page.locator("html").get_attribute("data-bs-theme") == theme
    fits(page, f"{screen}-worklist")

    _claims_and_acknowledges(page, screen, world)
    _compares(page, screen, world, prior)
    _corrects(page, screen)
    _reports_and_amends(page, context, screen)
    link = _asks_by_link(page, live_server.url, screen, world)
    problems += _answers_as_a_stranger(chromium, screen, link)
    page.reload()
    expect(page.locator("blockquote")).to_contain_text("I agree.")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Revoked", exact=True)).to_be_visible()
    stranger = chromium.new_context()
    refused = stranger.new_page().goto(link)
    assert refused
    assert refused.status == 404
    stranger.close()
    leave(page, live_server)

    assert problems == [], json.dumps(problems)
    with clinic_scope(doctor.clinic_id):
        assert Alert.objects.get().acknowledged_by_id == doctor.user.pk
        decisions = FindingReview.objects.order_by("created_at").values_list("decision", flat=True)
        assert list(decisions) == ["moved", "moved", "added"]
        versions = ReportVersion.objects.order_by("number")
        assert [version.status for version in versions] == ["signed", "signed"]
        assert "Seen with the earlier study." in versions[0].comparison
        assert versions[1].reason == "The ulna, too."
        assert StudyShare.objects.get().comments.get().text == "I agree."


def _claims_and_acknowledges(page: Page, screen: str, world) -> None:
    row = page.locator(".work-row").filter(has=page.locator(f"a[href*='{world.study.pk}']"))
    row.locator(".work-link").click()
    expect(page.locator("#study-claim")).to_contain_text("You are reading this study")
    with clinic_scope(world.member.clinic_id):
        assert StudyClaim.objects.get().doctor_id == world.member.user_id
    expect(page.get_by_text("Critical result: nobody has acknowledged it yet")).to_be_visible()
    fits(page, f"{screen}-study")
    page.get_by_role("button", name="I know and see to it").click()
    expect(page.get_by_text("Critical result, acknowledged by")).to_be_visible()


def _compares(page: Page, screen: str, world, prior) -> None:
    page.locator("#viewer.is-diagnostic").wait_for()
    page.locator("[data-viewer-opens=compare]").click()
    page.locator("[data-viewer-prior]").select_option(index=1)
    page.locator("[data-viewer-stage][data-depth=full]").nth(1).wait_for()
    shown = page.evaluate(f"{VIEWER}.diagnostic.panes.map((pane) => pane.imageId)")
    assert shown == [str(world.images["detector"].pk), str(prior.images["patient"].pk)]
    page.get_by_role("button", name="Larger", exact=True).click()
    one, two = page.evaluate(f"{VIEWER}.diagnostic.panes.map((pane) => pane.viewport.getZoom())")
    assert one == pytest.approx(two)
    assert one > 1.1
    fits(page, f"{screen}-compared")
    page.locator("[data-viewer-prior]").select_option(index=0)
    expect(page.locator("[data-viewer-stage]")).to_have_count(1)
    page.locator("[data-viewer-opens=compare]").click()


def _corrects(page: Page, screen: str) -> None:
    """Move the AI's box, make it larger, and draw another one."""
    panel = page.locator("#findings-panel")
    panel.get_by_role("button", name="Describe").click()
    panel.get_by_role("button", name="Move the box").click()
    page.locator(".viewer-stage.is-editing").wait_for()
    dragged(page, "polygon.body", 24, 16)
    expect(panel.locator(".is-moved")).to_have_count(1)
    dragged(page, "circle.handle-ground[data-handle='4']", 20, 12)
    page.keyboard.press("Escape")
    expect(page.locator(".viewer-stage.is-editing")).to_have_count(0)
    panel.get_by_role("button", name="Add finding").click()
    page.locator(".viewer-stage.is-editing").wait_for()
    stage = page.locator("[data-viewer-stage]")
    stage.scroll_into_view_if_needed()
    edge = stage.bounding_box()
    assert edge
    page.mouse.move(edge["x"] + edge["width"] * 0.3, edge["y"] + edge["height"] * 0.25)
    page.mouse.down()
    page.mouse.move(edge["x"] + edge["width"] * 0.42, edge["y"] + edge["height"] * 0.36, steps=4)
    page.mouse.up()
    expect(panel.locator(".is-added")).to_have_count(1)
    expect(page.locator(".viewer-marks .own")).to_have_count(2)
    fits(page, f"{screen}-corrected")


def _reports_and_amends(page: Page, context: BrowserContext, screen: str) -> None:
    page.get_by_role("button", name="Write the report").click()
    page.get_by_role("textbox", name="Comparison").fill("Seen with the earlier study.")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    preview = page.get_by_role("link", name="Preview PDF")
    address = preview.evaluate("link => link.href")
    assert context.request.get(address).body().startswith(b"%PDF-")
    fits(page, f"{screen}-report")
    _signs(page, "not-the-password")
    expect(page.get_by_text(re.compile("password", re.IGNORECASE)).first).to_be_visible()
    expect(page.get_by_text("The report is signed.")).to_have_count(0)
    _signs(page, PASSWORD)
    expect(page.get_by_text("The report is signed.")).to_be_visible()
    page.locator("summary", has_text="Amend").click()
    page.get_by_label("Reason for the amendment").fill("The ulna, too.")
    page.get_by_role("button", name="Write an amendment").click()
    page.get_by_role("textbox", name="Impression").fill("Radius and ulna are broken.")
    _signs(page, PASSWORD)
    expect(page.get_by_text("Signed, version 2")).to_be_visible()
    expect(page.get_by_role("link", name="History: 2 versions")).to_be_visible()
    fits(page, f"{screen}-amended")


def _signs(page: Page, password: str) -> None:
    page.get_by_label("Your password").fill(password)
    page.get_by_role("button", name="Sign the report").click()


def _asks_by_link(page: Page, base: str, screen: str, world) -> str:
    page.goto(f"{base}/studies/{world.study.pk}/shares/")
    page.get_by_label("Question to the colleague").fill("Is the ulna broken?")
    page.get_by_label("I have looked at each image").check()
    page.get_by_role("button", name="Make the link").click()
    link = page.locator("#share-link").text_content()
    assert link
    fits(page, f"{screen}-shares")
    page.goto(f"{base}/studies/{world.study.pk}/shares/")
    return link


def _answers_as_a_stranger(chromium: Browser, screen: str, link: str) -> list[str]:
    context = chromium.new_context(**SCREENS[screen], color_scheme=THEMES[screen])
    page, problems = opened(context)
    page.goto(link)
    expect(page.get_by_text("Is the ulna broken?")).to_be_visible()
    assert link.rstrip("/").rsplit("/", 1)[-1] not in page.url
    film = page.locator(".shared-film img").first
    expect(film).to_be_visible()
    fits(page, f"{screen}-shared")
    page.get_by_label("Your name").fill("Dr. Elsewhere")
    page.locator("textarea[name=text]").fill("I agree.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("blockquote")).to_contain_text("I agree.")
    context.close()
    return problems


def test_a_wrong_preliminary_answer_ends_in_a_recall_that_is_closed_in_arabic(
    live_server, chromium: Browser
):
    clinic = ClinicFactory(language="ar")
    emergency, radiologist = (MembershipFactory(doctor=True, clinic=clinic) for _ in range(2))
    study = study_of(emergency)
    context = chromium.new_context(**SCREENS["phone"], locale="ar-EG", service_workers="block")
    page, problems = opened(context)
    enter(page, live_server.url, emergency.user.email)
    page.locator(".work-link").first.click()
    page.locator("summary", has_text=arabic("Preliminary answer")).click()
    page.get_by_role("button", name=arabic("No fracture"), exact=True).click()
    expect(page.get_by_text(arabic("Preliminary, not the final report"))).to_be_visible()
    looked_at(page, "recall-1-preliminary")
    leave(page, live_server)

    context = chromium.new_context(**SCREENS["phone"], locale="ar-EG", service_workers="block")
    page, more = opened(context)
    enter(page, live_server.url, radiologist.user.email)
    page.goto(f"{live_server.url}/studies/{study.pk}/")
    for _ in range(2):
        page.keyboard.press("a")
        expect(page.locator("#findings-panel .is-accepted").nth(_)).to_be_attached()
    page.get_by_role("button", name=arabic("Write the report")).click()
    page.get_by_label(arabic("Your password")).fill(PASSWORD)
    page.get_by_role("button", name=arabic("Sign the report")).click()
    expect(page.get_by_text(arabic("The report is signed."))).to_be_visible()
    page.goto(f"{live_server.url}/discrepancies/")
    page.get_by_role("button", name=arabic("Yes, recall")).first.click()
    expect(page.get_by_text(arabic("Nobody has tried to reach the patient yet."))).to_be_visible()
    page.locator("summary", has_text=arabic("Note a contact")).click()
    looked_at(page, "recall-2-open")
    page.locator("input[name=contacted_at]").fill("2026-01-02T10:30")
    page.get_by_role("button", name=arabic("Save"), exact=True).click()
    page.get_by_role("button", name=arabic("Close the recall")).click()
    expect(page.get_by_role("button", name=arabic("Close the recall"))).to_have_count(0)
    page.get_by_label(arabic("What came of it?")).fill("وصل المريض.")
    page.get_by_role("button", name=arabic("Resolve")).click()
    page.goto(f"{live_server.url}/discrepancies/?all=1")
    expect(page.get_by_text("وصل المريض.")).to_be_visible()
    looked_at(page, "recall-3-closed")
    leave(page, live_server)

    assert problems + more == []
    with clinic_scope(clinic.pk):
        assert PreliminaryRead.objects.get().answer == "no"
        recall = RecallTask.objects.get()
        assert (recall.closed_by_id, recall.contacts.count()) == (radiologist.user_id, 1)
