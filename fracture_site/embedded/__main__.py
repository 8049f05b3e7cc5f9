"""Command line of the embedded services.

python -m fracture_site.embedded run [--data var/dev] [--throwaway] -- COMMAND...
python -m fracture_site.embedded env [--data var/dev]
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from fracture_site import processes
from fracture_site.datafolder import DataFolderError
from fracture_site.embedded import connection_environment, services


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command between start and stop of the services, or print how to reach them."""
    parser = argparse.ArgumentParser(prog="python -m fracture_site.embedded")
    actions = parser.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="start both, run COMMAND, stop both")
    show = actions.add_parser("env", help="print the variables that reach running services")
    for action in (run, show):
        action.add_argument("--data", type=Path, default=Path("var/dev"), help="default: var/dev")
    run.add_argument("--throwaway", action="store_true", help="faster; unsafe on a power cut")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    options = parser.parse_args(arguments)
    if options.action == "env":
        for name, value in connection_environment(options.data).items():
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
        return 0
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        run.error("name a command after --")
    return _run(options.data, command, throwaway=options.throwaway)


def _run(data: Path, command: Sequence[str], *, throwaway: bool) -> int:
    try:
        with (
            processes.StopSignals() as signals,
            services(data, throwaway=throwaway, pause=signals.pause) as found,
        ):
            return processes.run_forwarding(
                command, env=_given_environment() | found, signals=signals
            )
    except processes.StopRequestedError as stop:
        return 128 + stop.signum
    except FileNotFoundError as error:
        sys.stderr.write(f"error: {error.filename}: no such command\n")
        return 127
    except DataFolderError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _given_environment() -> dict[str, str]:
    """Return the environment this process was started with.

    Importing the project adds a default DJANGO_SETTINGS_MODULE, which the command must not inherit.
    """
    given = dict(os.environ)
    started_with = Path("/proc/self/environ")
    if started_with.exists() and b"DJANGO_SETTINGS_MODULE=" not in started_with.read_bytes():
        given.pop("DJANGO_SETTINGS_MODULE", None)
    return given


if __name__ == "__main__":
    sys.exit(main())
