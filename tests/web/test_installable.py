"""The installable site: manifest, icons, and a worker that keeps the static shell only."""

import json
import re
import struct
from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import expect

from tests.e2e.viewer_world import Desk, a_study

pytestmark = pytest.mark.django_db
STATIC = Path(__file__).resolve().parents[2] / "static"
KEPT = """async () => {
  const found = [];
  for (const name of await caches.keys())
    for (const request of await (await caches.open(name)).keys())
      found.push(new URL(request.url).pathname);
  return found;
}"""


def test_the_manifest_describes_an_installable_app_with_icons_that_exist() -> None:
    response = Client().get("/manifest.webmanifest")
    body = response.json()

    assert response["Content-Type"] == "application/manifest+json"
    assert (body["start_url"], body["scope"], body["display"]) == ("/", "/", "standalone")
    sizes = {}
    for icon in body["icons"]:
        data = (STATIC / icon["src"].removeprefix("/static/")).read_bytes()
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", data[16:24])
            assert icon["sizes"] == f"{width}x{height}"
            sizes[icon["sizes"], icon.get("purpose", "any")] = True
    assert {("192x192", "any"), ("512x512", "any"), ("512x512", "maskable")} <= set(sizes)


def test_the_worker_is_at_the_root_and_names_only_static_files() -> None:
    response = Client().get("/service-worker.js")
    shell = json.loads(re.search(r"const SHELL = (\{.*\});", response.content.decode())[1])

    assert response["Content-Type"].startswith("text/javascript")
    assert "no-cache" in response["Cache-Control"]
    assert shell["page"] == "/offline/"
    assert all(file.startswith("/static/") for file in shell["files"])


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_without_the_server_one_plain_page_is_shown_and_nothing_of_a_patient_is_kept(
    live_server, chromium
) -> None:
    world = a_study("detector")
    here = Desk(chromium, live_server.url, world, service_workers="allow")
    page = here.page
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    here.open("detector")
    page.reload()
    here.ready()
    kept = page.evaluate(KEPT)
    assert "/offline/" in kept
    assert all(path == "/offline/" or path.startswith("/static/") for path in kept)

    here.context.set_offline(True)
    page.goto(live_server.url + f"/studies/{world.study.pk}/")
    expect(page.get_by_role("heading", level=1)).to_have_text("The server cannot be reached")
    expect(page.locator("body")).not_to_contain_text(world.study.patient.record_number)
    here.problems.clear()  # the browser logs each file that does not come
    here.context.set_offline(False)
    here.ready()  # by itself, on the page that was asked for
    here.close()
