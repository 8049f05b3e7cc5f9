"""Script in every text that is stored, and in the headers of a DICOM file: no page runs it."""

import re
from functools import partial
from urllib.parse import urlsplit

import pytest
from django.db import connections
from django.test import Client
from django.utils import translation

from tests.support.dicom_studies import dicom, study_with
from tests.support.matrix import signed_in
from tests.support.routes import ROUTES
from tests.support.two_clinics import side
from tests.web.test_accessibility import ORIGIN, static_file

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
    pytest.mark.e2e,
    pytest.mark.timeout(600),
]
HOSTILE = (
    "'\"></textarea></title><img src=x onerror=alert(1)><script>alert(2)</script>"
    "<svg onload=alert(3)>"
)
# What the browser would say of a script that the policy stopped: it must not have come so far.
WATCH = """window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(
  `${event.violatedDirective} ${event.blockedURI} ${event.sample}`));"""
HIDDEN = re.compile(rb"<img src=x|<svg onload|<script>alert")


def pages_of(made, people: list[Client]) -> dict[str, object]:
    """Return address to answer of every page on which somebody of the clinic sees a text."""
    found = {}
    for route in ROUTES:
        if not route.name.startswith(("diagnosis:", "accounts:")):
            continue
        address = route.address(made.ids)
        for client in people:
            answer = client.get(address, follow=True)
            if answer.streaming:
                b"".join(answer)  # to its end, or the file stays open
                continue
            if made.mark.encode() not in answer.content:
                continue
            if answer["Content-Type"].startswith("text/html"):
                found.setdefault(answer.request["PATH_INFO"], answer)
    return found


def answer_from(found, route) -> None:
    """Give the browser the pages as they were answered, and static files; nothing else."""
    path = urlsplit(route.request.url).path
    if path.startswith("/static/"):
        route.fulfill(**static_file(path.removeprefix("/static/")))
    elif path in found and route.request.method == "GET":
        given = found[path]
        route.fulfill(status=given.status_code, body=given.content, headers=dict(given.headers))
    else:
        route.fulfill(status=204)


def test_nothing_that_is_stored_runs_on_any_page(chromium):
    made = side("x", hostile=HOSTILE)
    header = dict.fromkeys(["PatientName", "StudyDescription", "Manufacturer"], HOSTILE[:60])
    stored = study_with(dicom(7, **header), member=made.doctor)
    people = [signed_in(made.doctor.user), signed_in(made.admin.user)]
    with translation.override("en"):
        found = pages_of(made, people)
        answer = people[0].get(f"/studies/{stored.study.pk}/")
        found[answer.request["PATH_INFO"]] = answer
    connections.close_all()
    assert len(found) > 20, sorted(found)
    raw = [path for path, answer in found.items() if HIDDEN.search(answer.content)]
    assert raw == []

    dialogs: list[str] = []
    broken: list[str] = []
    context = chromium.new_context(service_workers="block")
    context.add_init_script(WATCH)
    context.route("**/*", partial(answer_from, found))
    page = context.new_page()
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in found:
        page.goto(ORIGIN + path, wait_until="load")
        broken += [f"{path} {told}" for told in page.evaluate("window.violations")]
    context.close()
    assert dialogs == []
    assert broken == []
