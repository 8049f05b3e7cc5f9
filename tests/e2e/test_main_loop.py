"""The main job in a browser: upload, wait, read, sign, print; a desktop and a phone."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, Patient, ReportVersion
from diagnosis.services.model_stages import shipped_sync
from ml.data.synthetic import synthetic_radiograph
from ml.data.synthetic_files import to_dicom, to_jpeg, to_png
from tests.factories import PASSWORD, ClinicFactory, MembershipFactory
from tests.ml.pictures import real_radiographs
from tests.support.worker import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]

SCREENS = {
    "desktop": {"viewport": {"width": 1366, "height": 900}},
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
}


@pytest.fixture
def radiographs(tmp_path) -> list[Path]:
    """Two radiographs and a DICOM file: real ones when the folder is there."""
    drawn = synthetic_radiograph(7, region="forearm", fractured=True).pixels
    other = synthetic_radiograph(8, region="leg", fractured=False).pixels
    files = {"a.png": to_png(drawn), "b.dcm": to_dicom(other), "c.jpg": to_jpeg(other)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return [tmp_path / "a.png", tmp_path / "b.dcm", *(real_radiographs(1) or [tmp_path / "c.jpg"])]


def watched(page: Page) -> list[str]:
    """Collect what a careful developer would see in the console, but for the refused file."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: (
            problems.append(message.text)
            if message.type == "error" and "422" not in message.text
            else None
        ),
    )
    return problems


def sign_in(page: Page, base: str, email: str) -> None:
    page.goto(base)
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Worklist")).to_be_visible()


@pytest.mark.parametrize("screen", SCREENS)
def test_a_technician_uploads_and_a_doctor_reads_and_signs(
    live_server, real_worker, chromium: Browser, radiographs, tmp_path, screen
):
    shipped_sync()
    clinic = ClinicFactory()
    technician = MembershipFactory(technician=True, clinic=clinic).user
    doctor = MembershipFactory(doctor=True, clinic=clinic).user

    context = chromium.new_context(**SCREENS[screen])
    page = context.new_page()
    problems = watched(page)
    sign_in(page, live_server.url, technician.email)
    page.goto(f"{live_server.url}/patients/new/")
    page.get_by_label("Record number").fill("E2E-1")
    page.get_by_label("Family name").fill("Browser")
    page.get_by_role("button", name="Register").click()
    page.get_by_role("link", name="New study").click()
    page.get_by_label("Clinical question").fill("Fall")
    page.get_by_role("button", name="Go on to the images").click()
    bad = tmp_path / "notes.pdf"
    bad.write_bytes(b"%PDF-1.7 letter")
    page.locator("[data-upload-drop] input[type=file]").set_input_files([*radiographs, bad])
    expect(page.locator(".upload-row.is-accepted")).to_have_count(3, timeout=60_000)
    expect(page.locator(".upload-row.is-refused")).to_have_count(1)
    study_url = re.sub(r"[?#].*", "", page.url)
    page.goto(study_url)
    expect(page.locator(".verdict-l")).to_be_visible(timeout=90_000)
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0
    context.close()

    context = chromium.new_context(**SCREENS[screen])
    page = context.new_page()
    problems += watched(page)
    sign_in(page, live_server.url, doctor.email)
    page.locator(".work-link").first.click()
    expect(page.locator("[data-viewer-image]")).to_be_visible()
    shown = "document.querySelector('[data-viewer-image]').naturalWidth > 100"
    wait_for(lambda: page.evaluate(shown))  # wait_for_function needs eval, which the policy forbids
    page.get_by_role("button", name="Write the report").click()
    page.get_by_role("textbox", name="Findings").fill("Typed in the browser.")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible(timeout=15_000)
    page.get_by_label("Impression").fill("Read and signed in the browser.")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Sign the report").click()
    expect(page.get_by_text("The report is signed.")).to_be_visible(timeout=20_000)
    link = page.get_by_role("link", name="PDF").get_attribute("href")
    pdf = context.request.get(f"{live_server.url}{link}")
    assert pdf.body().startswith(b"%PDF-")
    context.close()

    with clinic_scope(clinic.pk):
        assert Patient.objects.get().record_number == "E2E-1"
        assert Analysis.objects.filter(status="succeeded").count() == 3
        signed = ReportVersion.objects.get(status="signed")
        assert signed.impression == "Read and signed in the browser."
    assert problems == []
