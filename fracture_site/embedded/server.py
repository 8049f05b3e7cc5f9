"""What starting and stopping has in common for both servers."""

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from fracture_site import processes
from fracture_site.embedded.layout import EmbeddedError, Layout

_START_S, _STOP_S = 60.0, 15.0
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}  # nothing of ours leaks into the servers


@contextlib.contextmanager
def server(
    name: str,
    argv: Sequence[str],
    folder: Path,
    layout: Layout,
    ready: Callable[[], bool],
    pause: Callable[[float], None],
) -> Iterator[None]:
    """Start one server in its folder, wait until ``ready()``, stop it cleanly at the end."""
    log = layout.logs / f"{folder.name}.log"
    with processes.open_log(log) as output:
        process = processes.spawn_tied(
            argv, cwd=folder, output=output, env=_ENVIRONMENT, uid=layout.uid,
            stop_signal=signal.SIGINT,
        )  # fmt: skip
    try:
        started = processes.wait_until(
            lambda: process.poll() is not None or ready(), timeout_s=_START_S, pause=pause
        )
        if not started or process.poll() is not None:
            raise EmbeddedError(f"{name} did not start. The end of {log}:\n{processes.tail(log)}")
        yield
    finally:
        # SIGINT is the fast, clean way to stop for both.
        processes.stop(process, signum=signal.SIGINT, grace_s=_STOP_S)


def end_leftovers(folder: Path, program: str) -> None:
    """End servers that a killed launcher left behind: each stands in its own data folder."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error, OSError):
            if process.info["name"] == program and Path(process.cwd()) == folder:
                found.append(process)
    processes.end_processes(found, grace_s=_STOP_S, signum=signal.SIGINT)


def run_once(argv: Sequence[str], folder: Path, uid: int | None, text: str = "") -> None:
    """Run a program to its end in ``folder`` as ``uid``.

    Raises:
        EmbeddedError: it failed; the text is what it printed.
    """
    identity = {} if uid is None else {"user": uid, "group": uid, "extra_groups": ()}
    done = subprocess.run(  # type: ignore[call-overload]  # noqa: S603 - our own programs
        argv, cwd=folder, input=text, capture_output=True, text=True, check=False, umask=0o077,
        env=_ENVIRONMENT, **identity,
    )  # fmt: skip
    if done.returncode != 0:
        raise EmbeddedError(f"{Path(argv[0]).name} failed:\n{done.stdout}{done.stderr}".rstrip())
