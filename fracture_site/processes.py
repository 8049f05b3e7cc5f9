"""Child processes that never outlive their parent, and stop signals that arrive politely."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, Self

import psutil

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class StopRequestedError(Exception):
    """A stop signal arrived; ``signum`` says which."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class StopSignals:
    """Collects SIGINT, SIGTERM and SIGHUP while active instead of dying in the middle of a step.

    Nothing is raised inside a handler: the code asks by ``pause`` at places where it can stop.
    """

    def __init__(self) -> None:
        self._received: deque[int] = deque()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        self._old_wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for signum in STOP_SIGNALS:
            if signum == signal.SIGHUP and signal.getsignal(signum) == signal.SIG_IGN:
                continue  # started by nohup: closing the terminal is no reason to stop
            self._previous[signum] = signal.signal(signum, self._note)
        # A handler of its own makes the end of a child wake ``wait`` up at once.
        self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self._read_end)
        os.close(self._write_end)

    def wait(self, seconds: float) -> int | None:
        """Return a stop signal that arrived, or ``None`` after ``seconds`` or any other event."""
        if not self._received:
            select.select([self._read_end], [], [], seconds)
            with contextlib.suppress(BlockingIOError):
                os.read(self._read_end, 512)
        return self._received.popleft() if self._received else None

    def pause(self, seconds: float) -> None:
        """Sleep, but not longer than until a stop signal.

        Raises:
            StopRequestedError: a stop signal arrived.
        """
        signum = self.wait(seconds)
        if signum is not None:
            raise StopRequestedError(signum)

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        self._received.append(signum)


def die_with_parent(signum: signal.Signals) -> None:
    """Ask the kernel to send this process ``signum`` when its parent dies."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)


def open_log(path: Path, *, keep_bytes: int = 5_000_000) -> IO[bytes]:
    """Open a log for appending; a long one becomes ``<name>.1`` first."""
    if path.exists() and path.stat().st_size > keep_bytes:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def tail(path: Path, *, lines: int = 15) -> str:
    """Return the last lines of a log."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def spawn_tied(
    argv: Sequence[str],
    *,
    cwd: Path,
    output: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    uid: int | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own that gets ``stop_signal`` when this process dies.

    A session of its own keeps the terminal's Ctrl-C away from it: the parent decides the order in
    which things stop. ``uid`` drops every privilege of root (user, group, other groups).
    """
    identity: dict[str, Any] = {}
    if uid is not None:
        identity = {"user": uid, "group": uid, "extra_groups": [], "umask": 0o077}
    return subprocess.Popen(  # noqa: S603 - callers pass a list, never a shell line
        list(argv),
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
        preexec_fn=_tie_to_parent(stop_signal),  # no threads run yet when children are started
        **identity,
    )


def _tie_to_parent(stop_signal: signal.Signals) -> Callable[[], None]:
    """Return what the child runs between fork (and change of user) and exec."""
    parent = os.getpid()

    def tie() -> None:
        die_with_parent(stop_signal)
        if os.getppid() != parent:  # the parent died in between
            os._exit(1)

    return tie


def stop(
    process: subprocess.Popen[bytes], *, signum: signal.Signals = signal.SIGTERM, grace_s: float
) -> None:
    """Ask a child of ``spawn_tied`` to end; after ``grace_s`` kill it; end what it started."""
    if process.poll() is None:
        process.send_signal(signum)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    end_processes(session_members(process.pid), grace_s=1.0)


def session_members(leader: int) -> set[psutil.Process]:
    """Return all living processes of the session that ``spawn_tied`` opened for a child.

    Also those whose own parent has died, which a walk down the family tree would miss.
    """
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if os.getsid(process.pid) == leader:
                found.add(process)
    return found


def descendants(pid: int) -> set[psutil.Process]:
    """Return all living processes below ``pid``."""
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def end_processes(
    processes: Iterable[psutil.Process],
    *,
    grace_s: float,
    signum: signal.Signals = signal.SIGTERM,
) -> None:
    """End processes that are not ours to wait for: ``signum`` first, SIGKILL after ``grace_s``."""
    alive = [process for process in processes if process.is_running()]
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signum)
    _, alive = psutil.wait_procs(alive, timeout=grace_s)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def run_forwarding(argv: Sequence[str], *, env: Mapping[str, str], signals: StopSignals) -> int:
    """Run a command in the foreground, pass stop signals on, and return its exit code.

    The command stays in the terminal's foreground group so that debuggers and shells work; the
    terminal then delivers Ctrl-C to it directly, and passing it on again would be a second one.
    """
    process = subprocess.Popen(  # noqa: S603 - the user's own command
        list(argv), env=dict(env), preexec_fn=_tie_to_parent(signal.SIGTERM)
    )
    while process.poll() is None:
        signum = signals.wait(1.0)
        if signum is None or process.poll() is not None:
            continue
        if signum == signal.SIGINT and _in_foreground():
            continue
        process.send_signal(signum)
    code = process.returncode
    return code if code >= 0 else 128 - code


def wait_until(
    ready: Callable[[], bool],
    *,
    timeout_s: float,
    pause: Callable[[float], None] = time.sleep,
    interval_s: float = 0.02,
) -> bool:
    """Poll ``ready()`` until it is true; return whether it was in time."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            return False
        pause(interval_s)
    return True


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
