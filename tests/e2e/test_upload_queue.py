"""Files that wait on the device: kept without the server, resumed, sent once, and nobody else's."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from accounts.tenancy import clinic_scope
from diagnosis.models import StudyImage
from ml.data.synthetic import synthetic_radiograph
from ml.data.synthetic_files import to_png
from tests.e2e.viewer_world import Desk, World
from tests.factories import PASSWORD, MembershipFactory, PatientFactory, StudyFactory
from tests.support.fault_proxy import FaultProxy
from tests.support.worker import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
expect.set_options(timeout=60_000)
NOTE, KEPT_ROW = "[data-queue]", "#upload .upload-row.is-kept"
PART = 2**20
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
KEPT = """() => new Promise((resolve, reject) => {
  const open = indexedDB.open("upload-queue", 1);
  open.onerror = () => reject(open.error);
  open.onsuccess = () => {
    const all = open.result.transaction("files").objectStore("files").getAll();
    all.onsuccess = () => resolve(all.result.map((r) => ({ state: r.state, size: r.size, clear: JSON.stringify(r),
      bytes: [r.head, r.body].map(({data}) => String.fromCharCode(...new Uint8Array(data.slice(0, 2000)))) })));
  };
})"""  # noqa: E501


@pytest.fixture
def server(live_server):
    """The live server behind a line that can be cut."""
    port = int(live_server.url.rsplit(":", 1)[1])
    with FaultProxy(target=("localhost", port)) as line:
        yield line


@pytest.fixture
def world() -> World:
    member = MembershipFactory(technician=True)
    return World(member, StudyFactory(patient=PatientFactory(clinic=member.clinic)), {})


@pytest.fixture
def desk(server, chromium, world):
    desks = []

    def sit_down(**screen) -> Desk:
        here = Desk(chromium, f"http://localhost:{server.port}", world, **screen)
        desks.append(here)
        here.page.goto(here.base + study_path(world))
        return here

    yield sit_down
    for here in desks:
        here.context.close()


def study_path(world: World) -> str:
    return f"/studies/{world.study.pk}/"


def radiograph() -> bytes:
    return to_png(synthetic_radiograph(3, region="leg").pixels)


def file_of(data: bytes) -> list[dict]:
    return [{"name": "Doe wrist.png", "mimeType": "image/png", "buffer": data}]


def choose(page, data: bytes) -> None:
    page.locator("#upload .drop input").set_input_files(file_of(data))


def images(world: World) -> int:
    with clinic_scope(world.member.clinic_id):
        return StudyImage.objects.count()


def sign_in(page, base: str, email: str) -> None:
    page.goto(base)
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", name="Worklist").wait_for()


def test_a_line_cut_between_parts_goes_on_there_after_the_page_was_closed(desk, server, world):
    here = desk(**PHONE)
    page = here.page
    noise = np.random.default_rng(1).integers(0, 255, (1500, 1700), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=1)
    data = out.getvalue()
    assert 2 * PART < len(data) < 3 * PART
    offsets: list[int] = []

    def watch(route) -> None:
        offset = int(route.request.headers.get("upload-offset", -1))
        offsets.append(offset)
        if offset == PART and offsets.count(PART) == 1:
            server.cut()  # the server is gone in the middle of the file
        route.continue_()

    here.context.route(lambda url: "/api/v1/uploads/" in url, watch)
    server.cut()
    choose(page, data)
    expect(page.locator(KEPT_ROW)).to_contain_text("Waits on this device")
    expect(page.locator(NOTE)).to_contain_text("Files waiting on this device: 1")
    (kept,) = page.evaluate(KEPT)
    assert kept["size"] == len(data)
    assert "PNG" not in "".join(kept["bytes"])
    for secret in ("Doe", str(world.study.pk), world.member.user.email):
        assert secret not in kept["clear"] + "".join(kept["bytes"])
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]

    server.heal()
    page.locator(f"{NOTE} summary").click()
    page.get_by_role("button", name="Send now").click()
    expect(page.locator("[data-queue-trouble]")).to_have_text("The server cannot be reached.")
    assert offsets[:2] == [0, PART]
    assert images(world) == 0

    page.close()  # the person gives up; the file stays
    server.heal()
    before = len(offsets)
    later = here.context.new_page()
    later.goto(here.base)
    # (Asking the page lets Playwright pass on the requests that it watches.)
    wait_for(lambda: later.evaluate(KEPT) == [] and images(world) == 1)
    expect(later.locator(NOTE)).to_be_hidden()
    assert [offset for offset in offsets[before:] if offset >= 0] == [PART, 2 * PART]
    with clinic_scope(world.member.clinic_id):
        image = StudyImage.objects.get()
    assert (image.study_id, image.size_bytes) == (world.study.pk, len(data))


def test_the_next_person_at_the_device_neither_sees_nor_sends_what_waits(desk, world):
    here = desk()
    page, base = here.page, here.base
    here.context.clear_cookies()  # the session is over, and the page does not know
    choose(page, radiograph())
    expect(page.locator(KEPT_ROW)).to_be_visible()
    page.locator(f"{NOTE} summary").click()
    page.get_by_role("button", name="Send now").click()
    expect(page.locator("[data-queue-trouble]")).to_contain_text("You are signed out")
    expect(page.locator("[data-queue-sign-in]")).to_be_visible()

    posted: list[str] = []
    here.context.on("request", lambda sent: "/uploads/" in sent.url and posted.append(sent.url))
    colleague = MembershipFactory(technician=True, clinic=world.member.clinic)
    other = here.context.new_page()
    sign_in(other, base, colleague.user.email)
    other.goto(base + study_path(world))
    other.locator("#upload").wait_for()
    page.get_by_role("button", name="Send now").click()  # the first person's page is still open
    expect(page.locator("[data-queue-trouble]")).to_contain_text("Somebody else")
    expect(other.locator(NOTE)).to_be_hidden()
    assert "Doe" not in other.content()
    assert posted == []
    assert images(world) == 0
    other.close()

    here.context.clear_cookies()
    sign_in(page, base, world.member.user.email)
    wait_for(lambda: images(world) == 1)  # without being asked
    expect(page.locator(NOTE)).to_be_hidden()


def test_files_left_on_the_page_without_a_connection_wait_for_their_study(desk, server, world):
    here = desk(service_workers="allow")
    page, address = here.page, here.base + study_path(world)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    server.cut()
    page.goto(address)
    page.get_by_label("Your words").fill("left hand, blue coat")
    page.locator("[data-offline-files]").set_input_files(file_of(radiograph()))
    expect(page.locator(".offline-row")).to_contain_text("Choose its study")
    expect(page.locator(".offline-row .name")).to_contain_text("Doe wrist.png")
    (kept,) = page.evaluate(KEPT)
    assert (kept["state"], "blue" in kept["clear"] + "".join(kept["bytes"])) == ("loose", False)
    server.heal()
    page.get_by_role("button", name="Try again").click()
    page.locator(f"{NOTE} summary").click()
    expect(page.locator(f"{NOTE} .upload-row")).to_contain_text("Doe wrist.png · left hand")

    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    leave = "() => document.querySelector('form[action$=\"/logout/\"]').requestSubmit()"
    page.evaluate(leave)
    page.get_by_role("button", name="Sign in", exact=True).wait_for()
    assert re.match(r"Files that were not sent yet: 1\.", asked[0])
    server.cut()
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("The server cannot be reached")
    expect(page.locator("[data-offline-upload]")).to_be_hidden()  # nobody is signed in here
    server.heal()

    sign_in(page, here.base, world.member.user.email)
    assert images(world) == 0  # nobody has said whose it is
    page.goto(address)
    page.locator(f"{NOTE} summary").click()
    page.get_by_role("button", name="Send to this study").click()
    expect(page.locator(NOTE)).to_be_hidden()
    assert images(world) == 1


def test_a_device_without_room_says_so_and_the_page_keeps_the_file(chromium, server, world):
    base, data = f"http://localhost:{server.port}", radiograph()
    context = chromium.new_context()
    page = context.new_page()
    # Before the site opens its storage: what is open keeps the room that it knew.
    session = context.new_cdp_session(page)
    session.send("Storage.overrideQuotaForOrigin", {"origin": base, "quotaSize": 40_000})
    assert len(data) > 40_000  # bytes
    sign_in(page, base, world.member.user.email)
    page.goto(base + study_path(world))
    server.cut()
    choose(page, data)
    row = page.locator("#upload .upload-row.is-lost")
    expect(row).to_contain_text("no room")
    server.heal()
    row.get_by_role("button", name="Try again").click()
    wait_for(lambda: images(world) == 1)
    context.close()
