"""Three times what the site can do: it says so, loses nothing, and people can go on reading.

    python -m tests.chaos.overload --data var/overload --seconds 600

The capacity is measured first. Then programs send three times as much; one person opens the
worklist all the time. Bars: only 2xx, 429 and 503 with ``Retry-After``; the worklist at most twice
as slow as at rest; the memory of web and workers flat from the first part of the time to the last;
every accepted upload analysed in the end. JSON lines; 1 when a bar is missed.
"""

import argparse
import random
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import django
import psutil

from tests.chaos.figures import Figures, note, nothing
from tests.chaos.load import Desk, Load
from tests.chaos.site import ChaosSite

TIMES = 3
FLAT = 1.15
SENDERS = 24


def main(arguments: list[str] | None = None) -> int:
    """Measure, overload, count."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("var/overload"), help="emptied first")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--capacity-seconds", type=float, default=20)
    parser.add_argument("--queue-age", type=int, default=0, help="seconds; 0: a tenth of --seconds")
    options = parser.parse_args(arguments)
    shutil.rmtree(options.data, ignore_errors=True)
    age = options.queue_age or max(5, int(options.seconds / 10))
    with ChaosSite(options.data, env={"INTAKE_MAX_QUEUE_AGE_S": str(age)}):
        django.setup()
        return overload(options, age)


def overload(options: argparse.Namespace, age: int) -> int:
    """Run on a site whose servers are there."""
    from tests.chaos.hospital import Ward
    from tests.support.web import RealWeb
    from tests.support.worker import RealWorker

    web, worker = RealWeb(), RealWorker(concurrency=2)
    with ExitStack() as stack:
        for part in (web, worker):
            stack.callback(part.stop)
            part.start(timeout_s=240)
        chance = random.Random(1)  # noqa: S311 - no secret
        files = int(60 * (options.capacity_seconds + options.seconds))
        ward = Ward(files, 0, chance, a_study=20)
        desk = Desk(ward.senders(web.address), ward.posts, ward.cookie())
        figures = Figures(n=int(options.seconds))

        rest = Load()
        rest.ask("worklist", desk.worklist, every_s=0.25)
        with rest:
            time.sleep(min(10, options.capacity_seconds))
        idle_ms = rest.typical_ms("worklist")

        full = Load()
        for _ in range(4):
            full.ask("upload", desk.upload, every_s=0.0)
        began = time.monotonic()
        with full:
            time.sleep(options.capacity_seconds)
        capacity = ward.states()["succeeded"] / (time.monotonic() - began)
        figures.tell("capacity", round(capacity, 2), "images/s", lambda x: x > 0)
        ward.wait_for_all(timeout_s=age + 120)

        note(f"{TIMES} x {capacity:.1f} images/s for {options.seconds:.0f} s")
        load = Load()
        for _ in range(SENDERS):
            load.ask("upload", desk.upload, every_s=SENDERS / (TIMES * capacity))
        load.ask("worklist", desk.worklist, every_s=0.5)
        part_s = options.seconds / 5
        began = time.monotonic()
        with load:
            time.sleep(part_s)
            first = (web.resident_mib(), resident_mib(worker.pid))
            time.sleep(options.seconds - part_s)
            last = (web.resident_mib(), resident_mib(worker.pid))
        sent_per_s = desk_rate(load, began)
        busy_ms = load.typical_ms("worklist")
        ward.wait_for_all(timeout_s=2 * age + 240)
    ledger = ward.ledger()
    figures.tell("offered", round(sent_per_s, 2), "images/s")
    figures.tell("taken", load.count("200", "201", of="upload"), "uploads")
    figures.tell("sent_away", load.count("429", "503", of="upload"), "uploads")
    known = load.count("200", "201", "429", "503")
    figures.tell("other_answers", load.answers - known, "answers", nothing)
    figures.tell("without_retry_after", load.without_retry_after, "answers", nothing)
    figures.tell("lost", desk.kept - ledger.succeeded, "uploads", nothing)
    figures.tell("worklist_at_rest", idle_ms, "ms")
    figures.tell("worklist_overloaded", busy_ms, "ms")
    slower = round(busy_ms / idle_ms, 2)
    figures.tell("worklist_slower", slower, "times", lambda x: x <= 2)
    for name, before, after in zip(("web", "worker"), first, last, strict=True):
        grown = round(after / before, 3)
        figures.tell(f"{name}_memory", round(after), "MiB")
        figures.tell(f"{name}_memory_grown", grown, "times", lambda x: x <= FLAT)
    return figures.leave()


def desk_rate(load: Load, began: float) -> float:
    """Return how many uploads a second were sent."""
    times = [at for at, _took in load.seconds["upload"]]
    return len(times) / max(1.0, max(times) - began)


def resident_mib(pid: int) -> float:
    """Return what a process and its children hold, without what they share."""
    leader = psutil.Process(pid)
    family = [leader, *leader.children(recursive=True)]
    return sum(member.memory_full_info().uss for member in family) / 2**20


if __name__ == "__main__":
    sys.exit(main())
