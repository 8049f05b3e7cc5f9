"""No rule of axe-core is broken on any page: light and dark, desktop and phone, both directions.

Pages come from the routes, so a new page is covered when its address has a real id in
``tests.support.site_walk``; a page that cannot be opened fails. axe-core: ``tests/support/axe``.
"""

import os
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.db import connections
from django.utils import translation

from tests.support.site_walk import Site, address, routes, site

# Playwright's loop has a connection of its own, which sees committed rows only.
pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = "http://testserver"
AXE = (Path(__file__).resolve().parents[1] / "support/axe/axe.min.js").read_text(encoding="utf-8")
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# What these addresses answer on purpose instead of a page. Nothing else may be closed to everybody.
CLOSED = {
    "/nowhere/": 404,
    "/verify/0+/": 404,
    "/readyz": 503,  # no worker runs here
    "/metrics": 404,  # no token is set, and no page
    "/accounts/oidc/.*": 404,  # no provider is configured
    "/accounts/3rdparty/login/error/": 401,
    "/accounts/3rdparty/signup/": 302,  # only on the way back from a provider
    "/accounts/social/.*": 301,  # former addresses of /accounts/3rdparty/
    "/accounts/password/set/": 302,  # only who signs in by a provider alone has no password
    "/accounts/login/code/confirm/": 302,  # no codes by e-mail are sent
    "/accounts/2fa/webauthn/login/": 302,  # the sign-in page's question to a key
    "/invitation/s+/": 302,  # goes on to the page without the secret
    "/second-opinion/s+/": 302,  # likewise
    "/oauth/authorize": 400,  # without an app; with one it is among ``more``
    "/studies/new/": 404,  # without a patient; with one it is among ``more``
    "/patients/.*/compare/": 302,  # goes to the study with ``?prior=``, which is among ``more``
    "/reports/[^/]*/": 302,  # goes to its study
    "/reports/.*/preview/": 302,  # a PDF while there is a draft
    "/studies/.*/deidentified/": 302,  # a ZIP; says on the study's page why there is none
    "/second-opinion/study/.*/images/.*": 404,  # no page: pictures and lists
    "/key-images/.*": 404,
    "/images/.*/heatmap/": 404,
    "/images/.*/photo/": 404,
    "/models/.*/recall.csv": 404,
    "/live/model/.*": 404,  # no page: a model's file
    "/validations/.*/pdf/": 302,
    "/launch/study/.*/images/.*": 404,
    "/launch/[^/]*/": 404,  # a link that is over
}
RUN = """async () => {
  const {violations} = await axe.run(document, {resultTypes: ["violations"]});
  return violations.flatMap((each) => each.nodes.map(
    (node) => `${each.id}: ${node.target.join(" ")} ${node.html.slice(0, 160)}`)); }"""
# Colours would be measured on their way to others. (Reduced motion alone leaves them a frame.)
NO_CHANGES = """const still = new CSSStyleSheet();
still.replaceSync(
  "*, *::before, *::after { transition: none !important; animation: none !important }");
document.adoptedStyleSheets = [...document.adoptedStyleSheets, still];"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
DESKTOP = {"width": 1366, "height": 900}
PHONE = {"width": 360, "height": 740}
# `make axe` walks in all combinations; otherwise two have each language, screen and theme once.
COMBINATIONS = (
    list(product(("en", "ar"), (DESKTOP, PHONE), ("light", "dark")))
    if os.environ.get("AXE") == "all"
    else [("en", DESKTOP, "light"), ("ar", PHONE, "dark")]
)


@pytest.fixture
def walked(settings) -> Iterator[Site]:
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 3600  # seconds; the walk may take longer than 120
    with translation.override("en"):
        yield site()


def pages(walked: Site) -> tuple[list[str], list[str]]:
    """Return the addresses that answer with a page, and what could not be opened."""
    found, closed = [], []
    for path in dict.fromkeys([*(address(route, walked.ids) for route in routes()), *walked.more]):
        answer = walked.page(path)
        expected = {status for start, status in CLOSED.items() if re.fullmatch(start, path)}
        if answer.status >= 300 and answer.status not in {405, *expected}:
            closed.append(f"{answer.status} {path}")
        elif answer.is_page:
            found.append(path)
    return found, closed


@cache
def static_file(name: str) -> dict[str, Any]:
    """Return how the browser is answered."""
    found = finders.find(name)
    if found is None:
        return {"status": 404}
    file = Path(found)
    return {"body": file.read_bytes(), "content_type": KINDS.get(file.suffix, "")}


def serve(walked: Site, language: str):
    """Answer the browser from this process: pages by the test client, files from their folders."""

    def answer(route) -> None:
        parts = urlsplit(route.request.url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        if parts.path.startswith("/static/"):
            route.fulfill(**static_file(parts.path.removeprefix("/static/")))
        elif route.request.method == "GET":
            given = walked.page(path, language)
            connections.close_all()
            route.fulfill(status=given.status, body=given.body, headers=given.headers)
        else:
            route.fulfill(status=204)

    return answer


def test_every_page_is_walked(walked: Site) -> None:
    found, closed = pages(walked)

    assert not closed, f"give these a real id in tests/support/site_walk.py: {closed}"
    assert len(found) > 50, found


@pytest.mark.e2e
@pytest.mark.timeout(1800)  # seconds; about 60 on an idle machine, four times that for ``all``
def test_axe_finds_nothing_on_any_page(chromium, walked: Site) -> None:
    found, _closed = pages(walked)
    broken: list[str] = []
    for language, screen, theme in COMBINATIONS:
        context = chromium.new_context(
            bypass_csp=True,
            color_scheme=theme,
            reduced_motion="reduce",
            viewport=screen,
            service_workers="block",  # its requests would pass by this process
        )
        context.add_init_script(AXE)
        context.add_init_script(NO_CHANGES)
        context.route("**/*", serve(walked, language))
        page = context.new_page()
        for path in found:
            page.goto(ORIGIN + path, wait_until="load")
            where = f"{path} [{language}, {screen['width']}, {theme}]"
            direction = page.evaluate("document.documentElement.dir")
            assert direction == ("rtl" if language == "ar" else "ltr"), where
            broken += [f"{where} {fault}" for fault in page.evaluate(RUN)]
            page.set_viewport_size(PHONE)
            if wider := page.evaluate(WIDER):
                broken.append(f"{where} {wider} pixels wider than a phone")
            page.set_viewport_size(screen)
        context.close()

    assert not broken, "\n".join(broken)
