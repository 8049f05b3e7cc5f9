"""The dashboard in a browser: charts drawn, tables by keyboard, themes, a validation to its PDF."""

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis
from diagnosis.tasks import run_next_validation
from tests.e2e.test_main_loop import SCREENS, sign_in, watched
from tests.e2e.test_reading import picture
from tests.factories import MembershipFactory
from tests.support.many_studies import many_analyses, many_studies

expect.set_options(timeout=30_000)
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
STUDIES = 1500
ALIVE = """canvases => canvases.map(canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(pixels.buffer)).size; })"""


def drawn(page: Page) -> list[int]:
    """Return how many colours each chart shows, once all are there."""
    page.locator("[data-charts][data-drawn]").wait_for()
    return page.locator("canvas[data-chart]").evaluate_all(ALIVE)


def fits(page: Page, width: int) -> bool:
    return page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("screen", SCREENS)
def test_figures_are_seen_read_and_taken_away_and_a_model_is_validated(
    live_server, chromium: Browser, screen
):
    member = MembershipFactory(roles=[Role.DOCTOR, Role.CLINIC_ADMIN])
    many_studies(clinic=member.clinic, user=member.user, count=STUDIES)
    many_analyses(clinic=member.clinic)
    with clinic_scope(member.clinic_id):
        version = Analysis.objects.filter(status="succeeded").latest("created_at").model_version
    context = chromium.new_context(**SCREENS[screen])
    page = context.new_page()
    width = SCREENS[screen]["viewport"]["width"]
    sign_in(page, live_server.url, member.user.email)

    page.goto(f"{live_server.url}/dashboard/")
    drawn(page)
    problems = watched(page)  # of this page alone: the worklist lacks the files of made-up images
    page.reload()
    colours = drawn(page)
    assert len(colours) >= 7
    assert min(colours) > 3, colours
    assert fits(page, width)
    picture(page, f"dashboard-{screen}-light")
    page.evaluate("document.querySelector('[data-theme-choice=dark]').click()")
    assert min(drawn(page)) > 3
    picture(page, f"dashboard-{screen}-dark")

    chart = page.locator("section", has=page.locator("#agreement-title"))
    expect(chart.get_by_role("table")).to_be_hidden()
    chart.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(chart.get_by_role("table")).to_be_visible()
    expect(chart).to_contain_text("The reference is the newest signed report")
    assert fits(page, width)
    with page.expect_download() as download:
        chart.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename.startswith("agreement-")
    page.get_by_role("link", name="7 days").click()
    expect(page.locator("[aria-current=true]", has_text="7 days")).to_be_visible()

    page.get_by_role("link", name="Site validation").click()
    page.get_by_label("Model").select_option(str(version.pk))
    picture(page, f"validations-{screen}")
    page.get_by_role("button", name="Compare with our reports").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert run_next_validation() == 1
    expect(page.get_by_role("heading", name="What this says")).to_be_visible()
    expect(page.locator("main")).to_contain_text("the sensitivity could be anywhere from")
    assert fits(page, width)
    picture(page, f"validation-{screen}-dark")
    page.locator("#missed-title ~ * a").first.wait_for()
    assert problems == []
    page.goto(f"{live_server.url}/macros/")
    page.wait_for_load_state("networkidle")
    context.close()
