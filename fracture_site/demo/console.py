"""What the demo prints: one calm line a step, and a summary at the end."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import segno


class Console:
    """Writes to the terminal; everything longer goes to log files."""

    def __init__(self) -> None:
        self._step = ""
        self._begin = 0.0

    def line(self, text: str = "") -> None:
        """Print one line at once, also into a pipe."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show a step while it runs and how long it took."""
        self._step, self._begin = text, time.monotonic()
        sys.stdout.write(f"  {text} ... ")
        sys.stdout.flush()
        try:
            yield
        except BaseException:
            self.line("stopped")
            raise
        self.tick(decimals=1)
        self.line("" if sys.stdout.isatty() else f"{time.monotonic() - self._begin:.1f} s")

    def tick(self, *, decimals: int = 0) -> None:
        """Show on a terminal how long the present step has been running."""
        if sys.stdout.isatty():
            elapsed = time.monotonic() - self._begin
            sys.stdout.write(f"\r  {self._step} ... {elapsed:.{decimals}f} s ")
            sys.stdout.flush()

    def summary(self, accounts_file: Path, *, logs: Path) -> None:
        """Print where the site is and who can sign in."""
        found: dict[str, Any] = json.loads(accounts_file.read_text())
        rows = [
            (a["role"], a["clinic"] or "-", a["email"], a["password"]) for a in found["accounts"]
        ]
        heading = ("role", "clinic", "e-mail", "password")
        widths = [max(len(row[i]) for row in [heading, *rows]) for i in range(4)]
        self.line()
        self.line(f"  Fracture Site is ready: {found['base_url']}")
        self.line()
        for row in [heading, *rows]:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.line(f"    {'   '.join(cells).rstrip()}")
        self.line()
        self.line(f"  API tokens: {accounts_file}   Logs: {logs}")
        self.line("  For demonstration only: not a medical device. Stop with Ctrl-C.")

    def phone_help(self, *, site: str, authority: str, fingerprint: str, file: Path) -> None:
        """Print how a phone in the same network reaches the site and comes to trust it."""
        self.line()
        self.line(f"  1. On the phone (same network), load the certificate authority: {authority}")
        segno.make(authority, micro=False).terminal(out=sys.stdout, compact=True)
        self.line(f"     Compare its SHA-256 before you trust it: {fingerprint}")
        self.line("     iOS: Settings > General > VPN & Device Management > install, then")
        self.line("          General > About > Certificate Trust Settings > switch it on.")
        self.line("     Android: Settings > Security > Encryption & credentials >")
        self.line("          Install a certificate > CA certificate.")
        self.line(f"     This computer: import {file} into the browser's authorities.")
        self.line("     Remove it from the phone when you are done.")
        self.line(f"  2. Open the site: {site}")
        segno.make(site, micro=False).terminal(out=sys.stdout, compact=True)
