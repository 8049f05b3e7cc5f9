"""An EMR's app from the member's consent to the viewer, over real connections and in a browser."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.test_main_loop import SCREENS, sign_in, watched
from tests.e2e.test_reading import picture
from tests.e2e.viewer_world import a_study
from tests.factories import PatientFactory
from tests.support.smart import BACK, VERIFIER, asked, registered

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


@pytest.mark.parametrize("screen", SCREENS)
def test_consent_token_and_viewer(live_server, chromium: Browser, settings, screen):
    settings.BASE_URL = live_server.url
    world, app = a_study("png16"), registered()
    other = PatientFactory(clinic=world.member.clinic)
    context = chromium.new_context(service_workers="block", **SCREENS[screen])
    page = context.new_page()
    problems = watched(page)
    page.route("https://app.example/**", lambda route: route.fulfill(body="back at the app"))
    sign_in(page, live_server.url, world.member.user.email)

    scope = "launch/patient patient/*.rs offline_access"
    page.goto(live_server.url + asked(app, scope=scope))
    picture(page, f"smart-consent-{screen}")
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Choose a patient first.")
    page.get_by_label(world.study.patient.record_number).check()
    page.get_by_role("button", name="Allow", exact=True).click()
    page.wait_for_url("https://app.example/**")
    told = {name: each[0] for name, each in parse_qs(urlsplit(page.url).query).items()}
    assert told["state"] == "s-1"

    with httpx.Client(base_url=live_server.url) as emr:
        body = {
            "grant_type": "authorization_code", "code": told["code"], "client_id": str(app.pk),
            "redirect_uri": BACK, "code_verifier": VERIFIER,
        }  # fmt: skip
        token = emr.post("/oauth/token", data=body).json()
        assert token["patient"] == str(world.study.patient_id)
        emr.headers["Authorization"] = f"Bearer {token['access_token']}"
        assert emr.get(f"/fhir/R4/Patient/{other.pk}").status_code == 404
        link = emr.get(f"/fhir/R4/ImagingStudy/{world.study.pk}/$viewer").json()
        address = {each["name"]: each for each in link["parameter"]}["url"]["valueUrl"]

    window = chromium.new_context(service_workers="block", **SCREENS[screen])  # not signed in
    viewer = window.new_page()
    problems_there = watched(viewer)
    viewer.goto(address)
    expect(viewer.get_by_role("heading", level=1)).to_contain_text(
        world.study.patient.record_number
    )
    viewer.locator("[data-viewer-loading]").wait_for(state="hidden")
    expect(viewer.locator(".viewer-marks g")).to_have_count(1)
    viewer.locator("[data-viewer-action=zoom-in]").click()
    picture(viewer, f"smart-viewer-{screen}")
    assert viewer.locator("form[method=post], [data-viewer-tool]").count() == 0
    viewer.goto(address)
    expect(viewer.get_by_role("heading", level=1)).to_have_text("This link does not open anything")
    assert problems == []
    # The second opening is 404 on purpose, which the browser notes.
    assert [each for each in problems_there if "404" not in each] == []
    context.close()
    window.close()
