"""The limited process: limits that kill, nothing inherited, nothing carried over."""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from pydicom.uid import JPEG2000Lossless

from diagnosis.ingest.images import IngestLimits, ingest_image, warm_up
from diagnosis.ingest.results import (
    INGEST_CODES,
    ChildAnswerError,
    IngestedImage,
    Refusal,
    pack,
    unpack,
)
from diagnosis.ingest.sandbox import (
    ATTEMPTS,
    EXTRA_WAIT_SECONDS,
    SLOT_WAIT_SECONDS,
    Sandbox,
    sandbox,
)
from diagnosis.ingest.work import process
from fracture_site.common.errors import DomainError
from ml.data.synthetic import to_png
from tests.support.hostile_files import (
    GOOD_KINDS,
    compressed,
    first_stream,
    good_files,
    mutated,
    with_stream,
)

LIMITS = IngestLimits()


def outcome(data: bytes, limits: IngestLimits = LIMITS) -> str:
    try:
        ingest_image(data, limits)
    except DomainError as refused:
        return refused.code
    return "accepted"


@pytest.fixture(scope="module")
def slow() -> bytes:
    """A valid file that keeps a codec busy for many seconds."""
    noise = np.random.default_rng(1).integers(0, 255, (1000, 1000), dtype=np.uint8)
    data = compressed(noise, JPEG2000Lossless)
    return with_stream(data, first_stream(data), frames=60)


def test_a_queue_of_uploads_does_not_wait_for_ever(monkeypatch):
    """Each waits inside a transaction, which may not idle for longer than two minutes."""
    full = threading.BoundedSemaphore(1)
    full.acquire()
    monkeypatch.setattr(sandbox, "_slots", full)
    monkeypatch.setattr("diagnosis.ingest.sandbox.SLOT_WAIT_SECONDS", 0.01)
    data = to_png(np.zeros((128, 128), dtype=np.uint8))
    assert outcome(data) == "ingest_busy"
    full.release()
    assert outcome(data) == "accepted"
    assert full.acquire(blocking=False)  # the slot was given back


def test_the_longest_way_through_stays_below_the_idle_limit_of_a_transaction():
    options = settings.DATABASES["default"]["OPTIONS"]["options"]
    (idle_ms,) = re.findall(r"idle_in_transaction_session_timeout=(\d+)", options)
    longest = SLOT_WAIT_SECONDS + ATTEMPTS * (LIMITS.wall_seconds + EXTRA_WAIT_SECONDS)
    assert longest + 20 < int(idle_ms) / 1000  # the rest is for storing the objects


def template_pid() -> int:
    warm_up()
    assert sandbox._server is not None
    return sandbox._server.process.pid


def wait_for(found: Callable[[], object], seconds: float = 20) -> object:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return result
    raise AssertionError("did not happen in time")


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Busy:
    """A slow file at work in another thread, and the process that works on it."""

    def __init__(self, data: bytes, limits: IngestLimits = LIMITS) -> None:
        self.template = template_pid()
        self.codes: list[str] = []
        self._thread = threading.Thread(target=lambda: self.codes.append(outcome(data, limits)))
        self._thread.start()
        wait_for(lambda: children(self.template))
        (self.child,) = children(self.template)
        wait_for(lambda: len(list(Path(f"/proc/{self.child}/fd").iterdir())) == 2)
        wait_for(lambda: "Max core file size        0 " in self.limits())

    def limits(self) -> str:
        return Path(f"/proc/{self.child}/limits").read_text()

    def result(self) -> str:
        self._thread.join(40)
        return self.codes[0]


@pytest.fixture
def busy(slow) -> Iterator[Busy]:
    at_work = Busy(slow)
    yield at_work
    for pid in children(at_work.template):
        os.kill(pid, signal.SIGKILL)
    at_work.result()


def test_too_much_cpu_time_ends_as_timeout(slow):
    start = time.monotonic()
    assert outcome(slow, IngestLimits(cpu_seconds=1)) == "timeout"
    assert time.monotonic() - start < 10


def test_too_much_wall_time_ends_as_timeout(slow):
    start = time.monotonic()
    assert outcome(slow, IngestLimits(wall_seconds=1)) == "timeout"
    assert time.monotonic() - start < 5


def test_child_whose_own_timers_are_stopped_is_killed_from_outside(slow):
    at_work = Busy(slow, IngestLimits(wall_seconds=2))
    os.kill(at_work.child, signal.SIGSTOP)
    assert at_work.result() == "timeout"
    assert children(at_work.template) == []


def test_too_much_memory_ends_as_memory_or_refusal():
    data = to_png(np.zeros((7000, 7000), dtype=np.uint8))
    assert outcome(data) == "accepted"
    assert outcome(data, IngestLimits(memory_bytes=420 * 2**20)) == "memory"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGILL])
def test_crash_of_a_codec_is_a_refusal_and_the_next_file_is_fine(busy, number):
    os.kill(busy.child, number)
    assert busy.result() == "crashed"
    assert outcome(good_files()["png"]) == "accepted"
    assert template_pid() == busy.template


def test_kernel_killing_for_memory_is_told_as_memory(busy):
    os.kill(busy.child, signal.SIGKILL)
    assert busy.result() == "memory"


def test_lost_template_is_replaced_without_anybody_noticing():
    before = template_pid()
    os.kill(before, signal.SIGKILL)
    assert outcome(good_files()["png"]) == "accepted"
    assert template_pid() != before


def test_child_and_template_see_no_secrets_and_no_files_of_ours(monkeypatch, tmp_path, slow):
    monkeypatch.setenv("SECRET_KEY", "canary-secret")
    ours = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(ours, True)  # noqa: FBT003
    sandbox.stop()
    at_work = Busy(slow)
    try:
        for pid in (at_work.template, at_work.child):
            assert b"canary-secret" not in Path(f"/proc/{pid}/environ").read_bytes()
            targets = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
            assert str(tmp_path) not in targets
        targets = [str(link.readlink()) for link in Path(f"/proc/{at_work.child}/fd").iterdir()]
        assert len(targets) == 2
        assert all(target.startswith("/memfd:") for target in targets)
        assert str(LIMITS.memory_bytes) in at_work.limits()
        assert os.getsid(at_work.child) == at_work.child
    finally:
        os.close(ours)
        os.kill(at_work.child, signal.SIGKILL)
        at_work.result()


def test_template_ends_with_its_owner():
    own = Sandbox()
    own.start()
    assert own._server is not None
    process_of = own._server.process
    own._server.control.close()  # what the kernel does when the owner dies
    assert process_of.wait(10) == 0


def test_many_threads_share_one_sandbox():
    kinds = list(GOOD_KINDS) * 4
    with ThreadPoolExecutor(12) as pool:
        images = list(pool.map(lambda kind: ingest_image(good_files()[kind], LIMITS), kinds))
    for kind, image in zip(kinds, images, strict=True):
        assert isinstance(image, IngestedImage)
        assert image.original_size == len(good_files()[kind])
    assert children(template_pid()) == []


def test_forked_worker_gets_its_own_template():
    parent = template_pid()
    pid = os.fork()
    if pid == 0:
        good = outcome(good_files()["png"]) == "accepted" and template_pid() != parent
        sandbox.stop()
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert template_pid() == parent
    assert outcome(good_files()["jpeg"]) == "accepted"


def test_mutated_files_never_crash_hang_or_leave_a_process():
    rng = random.Random(20)  # noqa: S311
    files = [mutated(good_files()[GOOD_KINDS[i % len(GOOD_KINDS)]], rng) for i in range(300)]
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(outcome, files))
    assert set(codes) <= INGEST_CODES - {"crashed", "timeout", "memory"} | {"accepted"}
    assert {"accepted", "damaged"} <= set(codes)
    assert children(template_pid()) == []


def answer() -> bytes:
    return b"".join(pack(process(good_files()["dicom"], LIMITS)))


def test_answer_survives_packing():
    processed = process(good_files()["dicom"], LIMITS)
    assert unpack(memoryview(b"".join(pack(processed)))) == processed


@pytest.mark.parametrize(
    "forged",
    [
        lambda raw: raw[:0],
        lambda raw: raw[:100],
        lambda raw: raw[:-1],
        lambda raw: raw + b"x",
        lambda raw: raw.replace(b"\x00" * 128 + b"DICM", b"<html>".ljust(132), 1),
        lambda raw: raw.replace(b"application/dicom", b"text/html;charset", 1),
        lambda raw: raw.replace(b'"format": "dicom"', b'"format": "gifxx"', 1),
        lambda raw: b"\xff\xff\xff\xff" + raw[4:],
        lambda raw: raw[:3] + b"\x0f" + b'{"code": "joy"}',
        lambda raw: raw[:2] + b"\x00\x02[]",
    ],
)
def test_forged_answers_are_not_believed(forged):
    raw = answer()
    assert forged(raw) != raw
    with pytest.raises(ChildAnswerError):
        unpack(memoryview(forged(raw)))


def test_known_refusal_is_believed():
    assert unpack(memoryview(b"".join(pack(Refusal("damaged"))))) == Refusal("damaged")
