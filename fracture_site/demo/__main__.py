"""Start everything, seed it, say where it is, and stop everything: ``make demo``."""

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fracture_site import processes
from fracture_site.datafolder import DataFolderError, exclusive, private_folder
from fracture_site.demo import tls
from fracture_site.demo.configuration import Options, demo_environment
from fracture_site.demo.console import Console
from fracture_site.demo.readiness import wait_until_ready
from fracture_site.demo.supervisor import ProgramFailedError, Supervisor
from fracture_site.embedded import services

ROOT = Path(__file__).resolve().parents[2]


class DemoError(DataFolderError):
    """The demo cannot start; the text says why and what to do."""


@dataclass(frozen=True)
class Setup:
    """Runs management commands, quietly, and can be interrupted."""

    env: Mapping[str, str]
    log: Path
    signals: processes.StopSignals
    tick: Callable[[], None]

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
                self.tick()
        finally:
            processes.stop(process, grace_s=5)
        if process.returncode != 0:
            raise DemoError(
                f"`manage.py {arguments[0]}` failed. The end of {self.log}:\n"
                f"{processes.tail(self.log)}\n\nIf the data of an older copy is the reason, "
                "`make demo-reset` begins afresh."
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo until a stop signal arrives; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fracture_site.demo")
    parser.add_argument("--data", type=Path, default=ROOT / "var" / "demo")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--images", type=Path, help="folder of radiographs to seed with")
    parser.add_argument("--tls", action="store_true", help="https, reachable for phones")
    parser.add_argument("--reset", action="store_true", help="remove all demo data and end")
    found = parser.parse_args(arguments)
    options = Options(
        data=found.data.resolve(), port=found.port, images=found.images, tls=found.tls
    )
    console = Console()
    try:
        if found.reset:
            _reset(options, console)
            return 0
        with processes.StopSignals() as signals:
            if "MAKELEVEL" in os.environ:
                processes.die_with_parent(signal.SIGTERM)
            _demo(options, console, signals)
    except processes.StopRequestedError:
        console.line("  Stopped. The data stays; `make demo` continues with it.")
        return 0
    except (DataFolderError, ProgramFailedError) as error:
        sys.stderr.write(f"\nerror: {error}\n")
        return 1
    return 0


def _demo(options: Options, console: Console, signals: processes.StopSignals) -> None:
    _check(options)
    console.line("Fracture Site demo")
    with contextlib.ExitStack() as stack:
        with console.step("PostgreSQL and Redis"):
            urls = stack.enter_context(services(options.data, pause=signals.pause))
        certificates = None
        if options.tls:
            names = ["localhost", "127.0.0.1", "::1", options.host, socket.gethostname()]
            certificates = tls.ensure_certificates(ROOT / "var" / "tls", list(dict.fromkeys(names)))
        private_folder(options.logs)
        env = demo_environment(options, urls, certificates)
        setup = Setup(env, options.logs / "setup.log", signals, console.tick)
        # Only this command knows the owner's password.
        owner = env | {"DATABASE_OWNER_URL": urls["DATABASE_OWNER_URL"]}
        as_owner = Setup(owner, setup.log, signals, console.tick)
        _migrate(as_owner, console, options.data / "migrated")
        _collect_static(setup, console, Path(env["STATIC_ROOT"]))
        procfile = (ROOT / "Procfile").read_text()
        if certificates:
            procfile += f"authority: {options.authority_command(certificates.authority)}\n"
        with console.step("Web server, worker and scheduler"):
            programs = Supervisor(procfile, root=ROOT, env=env, logs=options.logs, say=console.line)
            stack.enter_context(programs)
        with console.step("Demo clinics, people and studies"):
            images = ["--images", str(options.images)] if options.images else []
            accounts = options.data.with_suffix(".json")
            setup.manage(
                "seed_demo", "--base-url", options.base_url, "--output", str(accounts), *images
            )
        with console.step("Waiting until it answers"):
            wait_until_ready(options, certificates, programs, signals, console.tick)
        console.summary(accounts, logs=options.logs)
        if certificates:
            console.phone_help(
                site=options.base_url,
                authority=options.authority_url(certificates.authority),
                fingerprint=certificates.fingerprint,
                file=certificates.authority,
            )
        try:
            while True:
                programs.keep_running()
                signals.pause(1.0)
        except processes.StopRequestedError:
            console.line("\n  Stopping ...")
            raise


def _check(options: Options) -> None:
    """Refuse before anything is started what cannot work."""
    if options.images is not None and not options.images.is_dir():
        raise DemoError(f"IMAGES={options.images} is not a folder.")
    for port in options.ports:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((options.bind_address, port))
            except PermissionError as error:
                raise DemoError(f"Port {port} is for root only. Try PORT=8001.") from error
            except (OSError, OverflowError) as error:
                raise DemoError(
                    f"Port {port} is in use, perhaps by a demo that runs already. Stop that, or "
                    f"try another port: make demo PORT={options.port + 10}"
                ) from error


def _migrate(setup: Setup, console: Console, stamp: Path) -> None:
    """Migrate when a migration or a library changed since the last time."""
    sources = [ROOT / "requirements.txt", ROOT / "accounts" / "row_security.py"]
    sources += (ROOT / "accounts").rglob("migrations/*.py")
    sources += (ROOT / "diagnosis").rglob("migrations/*.py")
    given = "DATABASE_URL" in os.environ or "DATABASE_OWNER_URL" in os.environ
    if not given and _is_fresh(stamp, sources):
        return  # a database of ours changes only here
    with console.step("Database"):
        setup.manage("db_migrate")
        stamp.write_text(_fingerprint(sources))


def _collect_static(setup: Setup, console: Console, target: Path) -> None:
    """Collect when a static file or a library changed since the last time."""
    sources = [ROOT / "requirements.txt", *(ROOT / "static").rglob("*")]
    if _is_fresh(target / ".collected", sources):
        return
    with console.step("Static files"):
        setup.manage("collectstatic", "--no-input", "--clear")
        (target / ".collected").write_text(_fingerprint(sources))


def _is_fresh(stamp: Path, sources: Sequence[Path]) -> bool:
    return stamp.exists() and stamp.read_text() == _fingerprint(sources)


def _fingerprint(sources: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(sources):
        found = path.stat()
        digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _reset(options: Options, console: Console) -> None:
    """Remove the data folder, unless it is in use."""
    if options.data.exists():
        with exclusive(options.data):
            shutil.rmtree(options.data)
    options.data.with_suffix(".json").unlink(missing_ok=True)
    console.line(f"Removed {options.data}")


if __name__ == "__main__":
    sys.exit(main())
