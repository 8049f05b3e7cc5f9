"""The other side of the limited process: hands files over, waits, classifies how a child ended.

One template process a process of ours, started when first needed and again when it is gone; usable
from any number of threads. Works under gunicorn and Celery because a forked worker starts its own.
"""

import array
import contextlib
import json
import logging
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from diagnosis.ingest.results import (
    Answer,
    ChildAnswerError,
    FilmTask,
    IngestLimits,
    Refusal,
    unpack,
)

logger = logging.getLogger(__name__)

ROOT: Final = Path(__file__).resolve().parents[2]
START: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from diagnosis.ingest.limited_process import main; main(int(sys.argv[2]))"
)
# No secrets, no locale of ours, and no thread pools: a fork keeps only the forking thread.
ENVIRONMENT: Final = {
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYDICOM_LOG_LEVEL": "CRITICAL",
}
ATTEMPTS: Final = 2
EXTRA_WAIT_SECONDS: Final = 5.0
# A caller holds a database session that may idle for 120 s. At worst it waits here for
# SLOT_WAIT_SECONDS + ATTEMPTS * (wall_seconds + EXTRA_WAIT_SECONDS) = 20 + 2 * 35 = 90 s; two
# attempts are only made when the template itself was lost.
SLOT_WAIT_SECONDS: Final = 20.0
MAX_AT_ONCE: Final = max(2, os.cpu_count() or 2)
EXIT_MEMORY: Final = 3


class SandboxBusyError(RuntimeError):
    """Other files occupied all slots for too long; the file is not to blame."""


class SandboxUnavailableError(RuntimeError):
    """No limited process could be started or reached; the file is not to blame."""


@dataclass(slots=True)
class _Server:
    process: subprocess.Popen[bytes]
    control: socket.socket

    def stop(self) -> None:
        """Close the socket, on which the template ends; make sure that it did."""
        self.control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
            return
        self.process.kill()
        self.process.wait()


class Sandbox:
    """Runs files through limited processes; ``child_peak_kib`` is the most that one occupied."""

    def __init__(self) -> None:
        self.child_peak_kib = 0
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Forget the parent's template after a fork: it answers to the parent."""
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._server: _Server | None = None

    def start(self) -> None:
        """Start the template now, so that the first upload need not wait for it."""
        with self._lock:
            self._running()

    def stop(self) -> None:
        """End the template."""
        with self._lock:
            if self._server is not None:
                self._server.stop()
                self._server = None

    def run(self, source: int, limits: IngestLimits, task: FilmTask | None = None) -> Answer:
        """Process the file behind a descriptor.

        Args:
            source: open for reading, at any offset; stays open.
            limits: bounds for this file.
            task: given when it is a photograph of a film.

        Raises:
            SandboxBusyError: no slot became free in time.
            SandboxUnavailableError: no process could be started or reached.
        """
        with self._slot():
            for _ in range(ATTEMPTS):
                answer = os.memfd_create("answer", os.MFD_CLOEXEC)
                try:
                    status = self._run_once(source, answer, limits, task)
                    if status is not None:
                        return _outcome(status, answer)
                finally:
                    os.close(answer)
        raise SandboxUnavailableError

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        slots = self._slots
        if not slots.acquire(timeout=SLOT_WAIT_SECONDS):
            raise SandboxBusyError
        try:
            yield
        finally:
            slots.release()

    def _run_once(
        self, source: int, answer: int, limits: IngestLimits, task: FilmTask | None
    ) -> dict[str, float] | None:
        """Return how the child ended; None when the template is gone or mute."""
        status_in, status_out = os.pipe2(os.O_CLOEXEC)
        server: _Server | None = None
        try:
            try:
                with self._lock:
                    server = self._running()
                asked = {"limits": asdict(limits), "film": asdict(task) if task else None}
                message = json.dumps(asked).encode()
                descriptors = array.array("i", [source, answer, status_out])
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
                server.control.sendmsg([message], rights)
            except OSError:
                self._drop(server)
                return None
            finally:
                os.close(status_out)
            poll = select.poll()
            poll.register(status_in, select.POLLIN)
            waited = poll.poll((limits.wall_seconds + EXTRA_WAIT_SECONDS) * 1000)
            told = os.read(status_in, 4096) if waited else b""
            if not told.endswith(b"\n"):
                logger.warning("ingest template lost", extra={"mute": not waited})
                self._drop(server)
                return None
            ended: dict[str, float] = json.loads(told)
            self.child_peak_kib = max(self.child_peak_kib, int(ended["rss_kib"]))
            return ended
        finally:
            os.close(status_in)

    def _running(self) -> _Server:
        if self._server is not None and self._server.process.poll() is None:
            return self._server
        if self._server is not None:
            self._server.control.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(  # noqa: S603  # our own interpreter and code
                [sys.executable, "-I", "-B", "-c", START, str(ROOT), str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env=ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._server = _Server(process, ours)
        return self._server

    def _drop(self, server: _Server | None) -> None:
        with self._lock:
            if server is not None and self._server is server:
                self._server = None
                server.control.close()
                server.process.kill()
                server.process.wait()


def _outcome(status: dict[str, float], answer: int) -> Answer:
    """Read the answer of a child that ended well, or tell why it did not."""
    code = int(status["exit"])
    if code == 0:
        try:
            return _read(answer)
        except ChildAnswerError as error:
            logger.warning("ingest answer refused", extra={"reason": str(error)})
            return Refusal("crashed")
    if status["overdue"] or -code in {signal.SIGALRM, signal.SIGXCPU}:
        return Refusal("timeout")
    if code == EXIT_MEMORY or -code == signal.SIGKILL:  # the kernel kills for memory
        return Refusal("memory")
    logger.warning("ingest child crashed", extra={"exit": code})
    return Refusal("crashed")


def _read(answer: int) -> Answer:
    if os.fstat(answer).st_size == 0:
        raise ChildAnswerError("nothing")
    with mmap.mmap(answer, 0, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
        return unpack(view)


sandbox = Sandbox()
