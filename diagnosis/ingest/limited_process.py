"""The template process: started once with an empty environment, forks one limited child a file.

Run as ``python -I -c …`` by ``diagnosis.ingest.sandbox``; it imports the decoders, then waits on a
socket for files. It never touches a file's bytes itself, so one hostile file cannot influence the
next. A message carries the limits and three descriptors: the file, a place for the answer, and a
pipe on which the template tells how the child ended.
"""

import array
import contextlib
import gc
import io
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from diagnosis.ingest.results import FilmTask, IngestLimits, pack
from diagnosis.ingest.work import process

MESSAGE_BYTES: Final = 4096
DESCRIPTORS: Final = 3
MAX_OPEN_FILES: Final = 32
MAX_ANSWER_BYTES: Final = 768 * 2**20
_WARM_UP_LIMITS: Final = IngestLimits(
    max_bytes=2**20, max_pixels=2**16, min_side=1, max_frames=1, cpu_seconds=1, wall_seconds=1,
    memory_bytes=2**30,
)  # fmt: skip
GRACE_SECONDS: Final = 1.0  # the child's own alarm comes first


@dataclass(slots=True)
class Child:
    """One running child: where to tell its end, and when to kill it."""

    status: int
    deadline: float
    overdue: bool = False


class Template:
    """Forks a child for each message, kills the overdue, reports every end."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, Child] = {}
        self._wake_in, self._wake_out = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def serve(self) -> None:
        """Work until the other end of the socket is gone, then take the children along."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_out, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wake_in, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select(self._until_deadline())}
                if self._wake_in in ready:
                    os.read(self._wake_in, 4096)
                self._reap()
                self._kill_overdue()
                if self._control.fileno() in ready and not self._accept():
                    break
        for pid in self._children:
            _kill(pid)

    def _until_deadline(self) -> float | None:
        waiting = [c.deadline for c in self._children.values() if not c.overdue]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for pid, child in self._children.items():
            if child.deadline <= now and not child.overdue:
                child.overdue = True
                _kill(pid)

    def _reap(self) -> None:
        while self._children:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            cpu = usage.ru_utime + usage.ru_stime
            told = {"exit": code, "overdue": child.overdue, "cpu": cpu, "rss_kib": usage.ru_maxrss}
            with contextlib.suppress(BrokenPipeError):  # nobody waits any more
                os.write(child.status, json.dumps(told).encode() + b"\n")
            os.close(child.status)

    def _accept(self) -> bool:
        """Start one child; False at the end of the socket."""
        room = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)
        message, ancillary, _flags, _address = self._control.recvmsg(MESSAGE_BYTES, room)
        if not message:
            return False
        received = array.array("i")
        for _level, _kind, packed in ancillary:
            received.frombytes(packed)
        source, answer, status = received
        asked = json.loads(message)
        limits = IngestLimits(**asked["limits"])
        task = FilmTask(**asked["film"]) if asked["film"] else None
        pid = os.fork()
        if pid == 0:
            _child(source, answer, limits, task)
        os.close(source)
        os.close(answer)
        deadline = time.monotonic() + limits.wall_seconds + GRACE_SECONDS
        self._children[pid] = Child(status, deadline)
        return True


def _kill(pid: int) -> None:
    """Kill a child of ours that was not waited for yet, and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _child(source: int, answer: int, limits: IngestLimits, task: FilmTask | None) -> None:
    """Work on one file under limits and end; never returns."""
    code = 1
    try:
        _restrict(source, answer, limits)
        size = os.fstat(source).st_size
        data = os.pread(source, min(size, limits.max_bytes + 1), 0)
        for part in pack(process(data, limits, task)):
            view = memoryview(part)
            while view:
                view = view[os.write(answer, view[: 1 << 24]) :]
        code = 0
    except MemoryError:
        code = 3
    finally:
        os._exit(code)


def _restrict(source: int, answer: int, limits: IngestLimits) -> None:
    """Give up everything but two descriptors, some memory and some time."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for name in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGXCPU):
        signal.signal(name, signal.SIG_DFL)
    low, high = sorted((source, answer))
    os.closerange(0, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    for number, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CORE, 0),  # a core dump would hold a patient's picture
        (resource.RLIMIT_FSIZE, MAX_ANSWER_BYTES),
        (resource.RLIMIT_NOFILE, high + MAX_OPEN_FILES),
    ):
        resource.setrlimit(number, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)


def _load_codecs() -> None:
    """Import what decoding imports late, so that children find it in memory."""
    import cv2
    from PIL import JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin  # noqa: F401
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    from ml.decoding_dicom_frames import PLUGINS

    cv2.setNumThreads(1)  # a forked child has no threads
    for uid in PLUGINS:
        get_decoder(UID(uid))
    # What libraries prepare at their first use is prepared once, and not by each child.
    process(_small_object(), _WARM_UP_LIMITS)


def _small_object() -> bytes:
    """Return a DICOM object of our own, of which nothing is true."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    side = 64
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = UID("2.25.1")
    made.SOPClassUID, made.Modality = DigitalXRayImageStorageForPresentation, "DX"
    made.Rows = made.Columns = side
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = bytes(range(256)) * (side * side * 2 // 256)
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def main(control: int) -> None:
    """Run the template on an inherited socket."""
    _load_codecs()
    gc.collect()
    gc.freeze()
    Template(socket.socket(fileno=control)).serve()


if __name__ == "__main__":
    arguments: list[Any] = sys.argv
    main(int(arguments[1]))
