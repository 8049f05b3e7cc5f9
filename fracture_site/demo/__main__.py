"""Start everything, seed it, say where it is, and stop everything: ``make demo``."""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from fracture_site import processes
from fracture_site.datafolder import DataFolderError, exclusive, private_folder
from fracture_site.demo import tls
from fracture_site.demo.configuration import Options, demo_environment
from fracture_site.demo.console import Console
from fracture_site.demo.preparation import ROOT, DemoError, Setup
from fracture_site.demo.readiness import wait_until_ready
from fracture_site.demo.supervisor import ProgramFailedError, Supervisor
from fracture_site.embedded import services


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
        setup = Setup(env, options.logs / "setup.log", signals, console)
        # Only this command knows the owner's password.
        owner = env | {"DATABASE_OWNER_URL": urls["DATABASE_OWNER_URL"]}
        as_owner = Setup(owner, setup.log, signals, console)
        as_owner.migrate(options.data / "migrated")
        setup.collect_static(Path(env["STATIC_ROOT"]))
        procfile = (ROOT / "Procfile").read_text()
        if certificates:
            procfile += f"authority: {options.authority_command(certificates.authority)}\n"
        with console.step("Web server, worker and scheduler"):
            programs = Supervisor(procfile, root=ROOT, env=env, logs=options.logs, say=console.line)
            stack.enter_context(programs)
        setup.seed(options, options.data / "seeded")
        with console.step("Waiting until it answers"):
            wait_until_ready(options, certificates, programs, signals, console.tick)
        console.summary(options.accounts, logs=options.logs)
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


def _reset(options: Options, console: Console) -> None:
    """Remove the data folder, unless it is in use."""
    if options.data.exists():
        with exclusive(options.data):
            shutil.rmtree(options.data)
    options.accounts.unlink(missing_ok=True)
    console.line(f"Removed {options.data}")


if __name__ == "__main__":
    sys.exit(main())
