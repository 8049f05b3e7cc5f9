"""Chromium for the browser tests, when this machine has one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW_TO_GET_IT = (
    "Chromium is not here, so the browser tests are left out. To run them: "
    "`apt-get install chromium` (as root), or `.venv/bin/playwright install chromium`, "
    "or set CHROMIUM to its path."
)


def chromium_path() -> str | None:
    """Return the browser's program, or ``None``."""
    if chosen := os.environ.get("CHROMIUM"):
        return chosen
    for name in NAMES:
        if found := shutil.which(name):
            return found
    cache = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache/ms-playwright"
    managed = sorted(Path(cache).glob("chromium-*/chrome-linux*/chrome"))
    return str(managed[-1]) if managed else None


@contextmanager
def launched(*more: str) -> Iterator[Any]:
    """Run a headless browser; root has no sandbox, and WebGL is drawn by the processor."""
    from playwright.sync_api import sync_playwright

    arguments = ["--disable-dev-shm-usage", "--enable-unsafe-swiftshader", *more]
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        yield browser
        browser.close()
