# ruff: noqa: E402, INP001 - a script
"""A picture of every screen for docs/screenshots, of a demo with drawn radiographs only.

    make screenshots        starts a demo of its own, takes the pictures, stops and removes it

Desktop and phone, light and dark, one language from right to left. The demo is never given a
folder of images, so that no patient's film can come into the repository.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests
from PIL import Image
from playwright.sync_api import Browser, Page

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.browser import launched
from tests.support.cameras import camera_arguments
from tests.support.film_scene import jpeg, photographed

PATIENCE_S: Final = 600
SCREENS: Final[dict[str, dict[str, Any]]] = {
    "desktop": {"viewport": {"width": 1366, "height": 900}},
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
}
# name, role, address (a word in <> is looked up), screen, theme, language
SHOTS: Final = [
    ("sign-in", "", "/accounts/login/", "desktop", "light", "en"),
    ("worklist-desktop", "doctor", "/", "desktop", "light", "en"),
    ("worklist-phone", "doctor", "/", "phone", "dark", "en"),
    ("worklist-arabic", "doctor", "/", "desktop", "light", "ar"),
    ("study-desktop", "doctor", "<study>", "desktop", "light", "en"),
    ("study-dark", "doctor", "<study>", "desktop", "dark", "en"),
    ("study-phone", "doctor", "<study>", "phone", "light", "en"),
    ("study-arabic", "doctor", "<study>", "phone", "light", "ar"),
    ("study-compared", "doctor", "<study>#compare", "desktop", "dark", "en"),
    ("report", "doctor", "<draft>#report", "desktop", "light", "en"),
    ("report-signed", "doctor", "<reported>", "desktop", "light", "en"),
    ("second-opinion", "doctor", "<study>shares/", "desktop", "light", "en"),
    ("similar-cases", "doctor", "<study>similar/", "desktop", "light", "en"),
    ("alerts", "doctor", "/alerts/", "desktop", "light", "en"),
    ("discrepancies", "doctor", "/discrepancies/", "desktop", "light", "en"),
    ("patients", "doctor", "/patients/", "desktop", "light", "en"),
    ("patient", "doctor", "<patient>", "desktop", "light", "en"),
    ("patient-phone", "doctor", "<patient>", "phone", "light", "en"),
    ("macros", "doctor", "/macros/", "desktop", "light", "en"),
    ("dashboard-desktop", "clinic_admin", "/dashboard/", "desktop", "light", "en"),
    ("dashboard-phone", "clinic_admin", "/dashboard/", "phone", "dark", "en"),
    ("validations", "clinic_admin", "/validations/", "desktop", "light", "en"),
    ("register-phone", "technician", "/patients/new/", "phone", "light", "en"),
    ("upload-phone", "technician", "<study>#upload", "phone", "light", "en"),
    ("film-phone", "technician", "<study>film/", "phone", "light", "en"),
    ("offline-phone", "technician", "/offline/", "phone", "dark", "en"),
    ("live-phone", "technician", "/live/", "phone", "light", "en"),
    ("clinic-settings", "clinic_admin", "/clinic/", "desktop", "light", "en"),
    ("clinic-rules", "clinic_admin", "/clinic/rules/", "desktop", "light", "en"),
    ("clinic-members", "clinic_admin", "/clinic/members/", "desktop", "light", "en"),
    ("clinic-devices", "clinic_admin", "/clinic/devices/", "desktop", "light", "en"),
    ("clinic-destinations", "clinic_admin", "/clinic/destinations/new/", "desktop", "light", "en"),
    ("clinic-retention", "clinic_admin", "/clinic/retention/", "desktop", "light", "en"),
    ("patient-privacy", "clinic_admin", "<patient>privacy/", "desktop", "light", "en"),
    ("clinic-audit", "clinic_admin", "/clinic/audit/", "desktop", "light", "en"),
    ("deliveries", "clinic_admin", "/deliveries/", "desktop", "light", "en"),
    ("models", "clinic_admin", "/models/", "desktop", "dark", "en"),
    ("api", "doctor", "/api/v1/docs/", "desktop", "light", "en"),
]
# The README shows these; their names stay.
PNG: Final = frozenset({"worklist-desktop", "study-desktop", "study-phone", "dashboard-desktop"})


@contextmanager
def demo(port: int) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Run a demo without images of its own and return its address and accounts."""
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder:
        data = Path(folder) / "demo"
        program = [sys.executable, "-m", "fracture_site.demo"]
        with (Path(folder) / "log").open("wb") as log:
            running = subprocess.Popen(  # noqa: S603 - our own words
                [*program, "--data", str(data), "--port", str(port)],
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                accounts = data.with_suffix(".json")
                _wait(running, accounts, f"http://127.0.0.1:{port}/healthz", Path(log.name))
                about = json.loads(accounts.read_text(encoding="utf-8"))
                yield about["base_url"], about["accounts"]
            finally:
                running.terminate()
                running.wait(timeout=60)


def _wait(running: "subprocess.Popen[bytes]", accounts: Path, url: str, log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and running.poll() is None:
        if accounts.exists() and "Stop with Ctrl-C" in log.read_text(encoding="utf-8"):
            requests.get(url, timeout=30).raise_for_status()
            return
        time.sleep(1)
    sys.exit(f"The demo did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")


class Album:
    """Takes pictures of one demo; a person signs in once for each screen, theme and language."""

    def __init__(self, browser: Browser, base: str, accounts: list[dict[str, str]]) -> None:
        self._browser, self._base, self._accounts = browser, base, accounts
        self._pages: dict[tuple[str, ...], Page] = {}
        self._places: dict[str, str] = {}

    def shot(self, role: str, address: str, screen: str, theme: str, language: str) -> bytes:
        """Return one screen as PNG."""
        page = self._page(role, screen, theme, language)
        if address.startswith("<") and not self._places:
            self._find(self._page("doctor", "desktop", "light", "en"))
        path = re.sub(r"<(\w+)>", lambda found: self._places[found[1]], address)
        path, _, wanted = path.partition("#")
        page.goto(self._base + path)
        page.wait_for_load_state("networkidle")
        if page.locator("[data-viewer]").count():
            page.locator("[data-viewer-stage][data-depth=full]").first.wait_for()
        if wanted == "compare":
            page.keyboard.press("v")
            page.locator("[data-viewer-stage][data-depth=full]").nth(1).wait_for()
        if wanted == "report":
            page.locator("#report").scroll_into_view_if_needed()
        if path.endswith("/film/"):
            page.locator("[data-film-say][data-code=good]").wait_for()
        if wanted == "upload":
            page.get_by_text("Add images").first.click()
            page.locator("[data-upload]").first.scroll_into_view_if_needed()
        page.wait_for_timeout(400)  # charts and films are drawn
        return page.screenshot()

    def _page(self, role: str, screen: str, theme: str, language: str) -> Page:
        key = (role, screen, theme, language)
        if key not in self._pages:
            context = self._browser.new_context(
                **SCREENS[screen], color_scheme=theme, locale=language, reduced_motion="reduce"
            )
            page = self._pages[key] = context.new_page()
            page.set_default_timeout(60_000)
            if role:
                self._sign_in(page, role, language)
        return self._pages[key]

    def _sign_in(self, page: Page, role: str, language: str) -> None:
        account = next(each for each in self._accounts if each["role"] == role)
        page.goto(self._base)
        page.fill("input[name=login]", account["email"])
        page.fill("input[name=password]", account["password"])
        page.press("input[name=password]", "Enter")
        page.wait_for_load_state("networkidle")
        page.context.add_cookies(
            [{"name": "django_language", "value": language, "url": self._base}]
        )

    def _find(self, page: Page) -> None:
        for name, tab in (("study", "unread"), ("draft", "to_sign"), ("reported", "reported")):
            page.goto(f"{self._base}/?tab={tab}")
            link = page.locator(".work-link").first.get_attribute("href") or ""
            self._places[name] = link.partition("?")[0]
        page.goto(f"{self._base}/patients/")
        link = page.locator("main a[href^='/patients/']:not([href$='/new/'])").first
        self._places["patient"] = link.get_attribute("href") or ""


def _scene(folder: Path) -> Path:
    """Write what the camera sees: a drawn film on a light box."""
    scene = folder / "scene.mjpeg"
    scene.write_bytes(jpeg(photographed(), 95) * 2)
    return scene


def main() -> int:
    """Write every picture and tell what they weigh."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/screenshots")
    parser.add_argument("--only", default="", help="the beginning of the names of some")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with (
        demo(options.port) as (base, accounts),
        tempfile.TemporaryDirectory() as folder,
        launched(*camera_arguments(_scene(Path(folder)))) as browser,
    ):
        album = Album(browser, base, accounts)
        for name, *how in SHOTS:
            if not name.startswith(options.only):
                continue
            picture = Image.open(io.BytesIO(album.shot(*how))).convert("RGB")
            path = options.out / f"{name}.{'png' if name in PNG else 'webp'}"
            if name in PNG:
                picture.quantize(128).save(path, optimize=True)
            else:
                picture.save(path, quality=80, method=6)
            sys.stdout.write(json.dumps({"name": path.name, "bytes": path.stat().st_size}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
