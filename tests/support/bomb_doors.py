"""Every bomb through every door, with what it cost the process that took it."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psutil

from diagnosis.ingest.sandbox import sandbox
from tests.support.bombs import FILES
from tests.support.fuzz_doors import Doors, StoreScu, Verdict, send_all
from tests.support.listener import Listener

MIB: Final = 2**20
GROWTH_MIB: Final = 200
CHILD_MIB: Final = 1536


def siege() -> Iterator[dict[str, Any]]:
    """Yield the figures of each door."""
    doors = Doors()
    made = [(name, make()) for name, make in FILES.items()]
    objects = [(name, data) for name, data in made if data[128:132] == b"DICM"]
    listener = Listener().start()
    scu, dice = StoreScu(doors, listener), random.Random(1)  # noqa: S311 - repeatable
    ways: dict[str, tuple[Callable[[bytes], tuple[str, bool]], list[tuple[str, bytes]], int]] = {
        "api": (doors.by_api, made, 0),
        "page": (doors.by_page, made, 0),
        "stow": (doors.by_stow, objects, 0),
        "cstore": (lambda data: scu.send(data, dice), objects, listener.pid),
    }
    try:
        for door, (send, files, pid) in ways.items():
            yield _door(doors, door, send, files, pid)
    finally:
        scu.close()
        listener.stop()


def _door(
    doors: Doors,
    door: str,
    send: Callable[[bytes], tuple[str, bool]],
    files: list[tuple[str, bytes]],
    pid: int,
) -> dict[str, Any]:
    verdict, taken = Verdict(), []

    def watched(data: bytes) -> tuple[str, bool]:
        answer, fine = send(data)
        if answer in {"200", "201", "202", "0x0000"}:
            taken.append(answer)
        return answer, fine

    with _growth(pid) as grown:
        send_all(doors, files, watched, verdict)
    line = verdict.line() | {
        "door": door,
        "bombs": len(files),
        "taken": len(taken),
        "growth_mib": round(grown[0] / MIB),
    }
    fine = verdict.is_fine and not taken and line["growth_mib"] <= GROWTH_MIB
    return line | {"fine": fine and sandbox.child_peak_kib <= CHILD_MIB * 1024}


@contextmanager
def _growth(pid: int) -> Iterator[list[int]]:
    """Watch how much larger a process becomes meanwhile; 0 is this one."""
    process = psutil.Process(pid or None)
    before, most, ended = process.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            most[0] = max(most[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()
