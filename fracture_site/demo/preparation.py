"""What has to be done before (and only sometimes at) a start: tables, static files, demo data."""

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fracture_site import processes
from fracture_site.datafolder import DataFolderError
from fracture_site.demo.configuration import Options
from fracture_site.demo.console import Console

ROOT = Path(__file__).resolve().parents[2]


class DemoError(DataFolderError):
    """The demo cannot start; the text says why and what to do."""


@dataclass(frozen=True)
class Setup:
    """Runs management commands, quietly, and can be interrupted."""

    env: Mapping[str, str]
    log: Path
    signals: processes.StopSignals
    console: Console

    def manage(self, *arguments: str) -> None:
        """Run ``manage.py``; its output goes to the log.

        Raises:
            DemoError: the command failed.
        """
        with processes.open_log(self.log) as output:
            process = processes.spawn_tied(
                [sys.executable, "manage.py", *arguments], cwd=ROOT, output=output, env=self.env
            )
        try:
            while process.poll() is None:
                self.signals.pause(1.0)
                self.console.tick()
        finally:
            processes.stop(process, grace_s=5)
        if process.returncode != 0:
            raise DemoError(
                f"`manage.py {arguments[0]}` failed. The end of {self.log}:\n"
                f"{processes.tail(self.log)}\n\nIf the data of an older copy is the reason, "
                "`make demo-reset` begins afresh."
            )

    def migrate(self, stamp: Path) -> None:
        """Migrate when a migration or a library changed since the last time."""
        sources = [ROOT / "requirements.txt", ROOT / "accounts" / "row_security.py"]
        sources += (ROOT / "accounts").rglob("migrations/*.py")
        sources += (ROOT / "diagnosis").rglob("migrations/*.py")
        if _ours() and _is_fresh(stamp, _fingerprint(sources)):
            return
        with self.console.step("Database"):
            self.manage("db_migrate")
            stamp.write_text(_fingerprint(sources))

    def collect_static(self, target: Path) -> None:
        """Collect when a static file or a library changed since the last time."""
        sources = [ROOT / "requirements.txt", *(ROOT / "static").rglob("*")]
        if _is_fresh(target / ".collected", _fingerprint(sources)):
            return
        with self.console.step("Static files"):
            self.manage("collectstatic", "--no-input", "--clear")
            (target / ".collected").write_text(_fingerprint(sources))

    def seed(self, options: Options, stamp: Path) -> None:
        """Create what is missing, unless nothing that decides it changed."""
        images = ["--images", str(options.images)] if options.images else []
        model = Path(self.env.get("ML_MODEL_DIR", ROOT / "ml" / "weights")) / "manifest.json"
        sources = [ROOT / "diagnosis" / "management" / "commands" / "seed_demo.py", model]
        state = _fingerprint([s for s in sources if s.exists()], options.base_url, *images)
        if _ours() and options.accounts.exists() and _is_fresh(stamp, state):
            return
        with self.console.step("Demo clinics, people and studies"):
            output = str(options.accounts)
            self.manage("seed_demo", "--base-url", options.base_url, "--output", output, *images)
            stamp.write_text(state)


def _ours() -> bool:
    """Return whether the database is the embedded one, which changes only here."""
    return not (os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_OWNER_URL"))


def _is_fresh(stamp: Path, state: str) -> bool:
    return stamp.exists() and stamp.read_text() == state


def _fingerprint(sources: Sequence[Path], *words: str) -> str:
    digest = hashlib.sha256("\n".join(words).encode())
    for path in sorted(sources):
        found = path.stat()
        digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()
