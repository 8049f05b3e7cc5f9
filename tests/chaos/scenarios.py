"""Three ways to do one job several times: poison, wrong clocks, a broker that is impatient.

    python -m tests.chaos.scenarios --data var/scenarios poison clocks visibility

``poison``: one file kills whatever reads it: at most three attempts, then failed with a code, and
the others finish at nine tenths of their pace without it. ``clocks``: one worker's clock is an hour
ahead, the other's an hour behind (libfaketime). ``visibility``: Redis delivers each message again
while its task still runs. JSON lines; 1 when a bar is missed.
"""

import argparse
import hashlib
import random
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import django

from tests.chaos.figures import Figures, nothing
from tests.chaos.site import ChaosSite

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
BENT = "tests.chaos.bent_worker"
POISON_ENDS_WITHIN_S = 180


class Round:
    """One web process, some workers, and a ward whose files they read."""

    def __init__(self, uploads: int, workers: list[dict[str, str]], *, seed: int = 0) -> None:
        from tests.chaos.hospital import Ward
        from tests.support.web import RealWeb
        from tests.support.worker import RealWorker

        self.ward = Ward(uploads, 0, random.Random(seed))  # noqa: S311 - no secret
        self.web = RealWeb(workers=1)
        self.workers = [RealWorker(concurrency=1, env=env, app=BENT) for env in workers]

    def __enter__(self):
        self._stack = ExitStack()
        for part in (self.web, *self.workers):
            self._stack.callback(part.stop)
        for worker in self.workers:
            worker.launch()
        self.web.start()
        for worker in self.workers:
            until = time.monotonic() + 240
            while not worker.is_ready:
                assert worker.is_alive, worker.log
                assert time.monotonic() < until, worker.log
                time.sleep(0.1)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def upload(self, *, seconds: float) -> None:
        """Send the files at an even pace."""
        posts, began = self.ward.posts, time.monotonic()
        pace = seconds / len(posts)
        self.ward.senders(self.web.address).send_all(
            posts, lambda place: time.monotonic() - began >= place * pace
        )

    def wait(self, succeeded: int, *, timeout_s: float) -> int:
        """Return how many are done, at the latest after ``timeout_s``."""
        until = time.monotonic() + timeout_s
        while (done := self.ward.states()["succeeded"]) < succeeded and time.monotonic() < until:
            time.sleep(0.2)
        return done


def poison(options: argparse.Namespace) -> int:
    figures = Figures(n=options.uploads)
    paces = []
    for poisoned in (False, True):
        workers = [{} for _ in range(2)]
        with_it = Round(options.uploads, workers, seed=int(poisoned))
        bad = with_it.ward.posts[2]
        if poisoned:
            for env in workers:
                env["CHAOS_POISON"] = hashlib.sha256(bad.data).hexdigest()
        with with_it as site:
            began = time.monotonic()
            site.upload(seconds=options.seconds)
            others = options.uploads - poisoned
            site.wait(others, timeout_s=120)
            paces.append(others / (time.monotonic() - began))
            if poisoned:
                until = time.monotonic() + POISON_ENDS_WITHIN_S
                while not site.ward.states()["failed"] and time.monotonic() < until:
                    time.sleep(0.5)
                attempts, code = site.ward.job_of(bad.study, bad.data)
    figures.tell("poison_attempts", attempts, "attempts", lambda n: n <= 3)
    figures.tell("poison_code", code, "", lambda c: c == "worker_lost")
    share = round(paces[1] / paces[0], 3)
    figures.tell("pace_of_the_others", share, "of the pace without", lambda x: x >= 0.9)
    return figures.leave()


def clocks(options: argparse.Namespace) -> int:
    if not FAKETIME.exists():
        sys.stderr.write("libfaketime is missing: apt-get install faketime\n")
        return 1
    fake = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(Path(__file__).parent / "clock"),
    }
    workers = [{**fake, "FAKETIME": "+1h"}, {**fake, "FAKETIME": "-1h"}]
    return _once("clocks", Round(options.uploads, workers), options)


def visibility(options: argparse.Namespace) -> int:
    env = {"CHAOS_VISIBILITY_S": "1", "CHAOS_SLOW_S": "3"}
    return _once("visibility", Round(min(options.uploads, 12), [env, env]), options)


def _once(name: str, site_of: Round, options: argparse.Namespace) -> int:
    uploads = len(site_of.ward.posts)
    figures = Figures(n=uploads)
    with site_of as site:
        sender = Thread(target=site.upload, kwargs={"seconds": options.seconds / 4})
        sender.start()
        sender.join()
        site.wait(uploads, timeout_s=180)
    ledger = site.ward.ledger()
    figures.tell(f"{name}_lost", ledger.images_without_result, "uploads", nothing)
    figures.tell(f"{name}_twice", ledger.results_more_than_one, "uploads", nothing)
    again = ledger.executions - uploads
    figures.tell(f"{name}_started_again", again, "attempts", nothing)
    return figures.leave()


def main(arguments: list[str] | None = None) -> int:
    """Run the named scenarios on one site."""
    known = {"poison": poison, "clocks": clocks, "visibility": visibility}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*known, []], default=list(known))
    parser.add_argument("--data", type=Path, default=Path("var/scenarios"), help="emptied first")
    parser.add_argument("--uploads", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=60, help="in which they are sent")
    options = parser.parse_args(arguments)
    shutil.rmtree(options.data, ignore_errors=True)
    with ChaosSite(options.data):
        django.setup()
        return max(known[name](options) for name in options.names)


if __name__ == "__main__":
    sys.exit(main())
