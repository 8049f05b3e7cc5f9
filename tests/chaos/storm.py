"""Everything breaks while files are uploaded: each gets exactly one result.

    python -m tests.chaos.storm --data var/chaos --uploads 500 --kills 30

A site of its own: gunicorn, two workers with the real model, PostgreSQL, Redis, an S3 server behind
a fault proxy; ``--broker rabbitmq`` wakes the workers through RabbitMQ. Faults strike in an order
that the seed decides, while uploads (a fifth of them twice) go on: the pool's child killed, the
whole worker killed, the worker frozen and then killed, the broker emptied, Redis restarted,
PostgreSQL stopped as by a crash, the store cut off. At last all workers are frozen, the rest is
uploaded, every message is deleted, and the workers die. ``--no-sweeper`` is the control: without
the sweeper the same run must lose something, or it proves nothing. JSON lines; 1 when a bar is
missed.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import django
import psutil

from tests.chaos.figures import Figures, note, nothing
from tests.chaos.site import ChaosSite

if TYPE_CHECKING:
    from tests.support.worker import RealWorker

WORKERS = 2
DONE_WITHIN_S = 60
STALLED_S = 75  # longer than a lease and a start
OUTAGE_S = 8.0
BUSY_WITHIN_S = 15


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("var/chaos"), help="emptied first")
    parser.add_argument("--uploads", type=int, default=500)
    parser.add_argument("--duplicates", type=float, default=0.2, help="share that is sent twice")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--flushes", type=int, default=5)
    parser.add_argument("--redis-restarts", type=int, default=2)
    parser.add_argument("--postgres-crashes", type=int, default=3)
    parser.add_argument("--storage-outages", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="so many runs, one a seed")
    parser.add_argument("--broker", choices=["redis", "rabbitmq"], default="redis")
    parser.add_argument("--no-sweeper", action="store_true", help="the control: it must lose")
    return parser.parse_args(arguments)


class Storm:
    """One run: uploads, faults, count."""

    def __init__(self, options: argparse.Namespace, site: ChaosSite, seed: int) -> None:
        from tests.chaos.hospital import Ward
        from tests.support.web import RealWeb
        from tests.support.worker import RealWorker

        self.options, self.site, self.seed = options, site, seed
        self.chance = random.Random(seed)  # noqa: S311 - where to strike, not a secret
        self.ward: Ward = Ward(options.uploads, options.duplicates, self.chance)
        env = {
            # The kills aim at two workers: an image that meets three of them is no poison.
            "JOB_MAX_ATTEMPTS": "12",
            **({"JOB_SWEEP_INTERVAL_S": "86400"} if options.no_sweeper else {}),
        }
        self.web = RealWeb(env=env)
        self.workers = [RealWorker(concurrency=1, env=env) for _ in range(WORKERS)]
        self.faults = self._plan()
        self.begun = 0
        self.may_finish = Event()

    def _plan(self) -> list[str]:
        options = self.options
        kinds = ["kill child", "kill worker", "freeze and kill"]
        found = [kinds[n % 3] for n in range(options.kills)]
        found += ["empty the broker"] * options.flushes
        found += ["restart redis"] * options.redis_restarts
        found += ["crash postgres"] * options.postgres_crashes
        found += ["cut the store"] * options.storage_outages
        self.chance.shuffle(found)
        return found

    def run(self) -> Figures:
        """Start everything, strike, wait, count."""
        posts = self.ward.posts
        figures = Figures(n=self.options.uploads, seed=self.seed)
        with ExitStack() as stack:
            for part in (self.web, *self.workers):
                stack.callback(part.stop)
            for worker in self.workers:
                worker.launch()
            self.web.start()
            senders = self.ward.senders(self.web.address)
            turns = len(self.faults) + 1
            last = int(len(posts) * 0.9)

            def may_go(place: int) -> bool:
                if place >= last:
                    return self.may_finish.is_set()
                return self.begun * last >= place * turns - last

            sender = Thread(target=senders.send_all, args=(posts, may_go))
            began = time.monotonic()
            sender.start()
            self._strike()
            self._last_blow(sender)
            ended = time.monotonic()
            self._wait()
            took = time.monotonic() - ended
        self._tell(figures, senders.answers, took, time.monotonic() - began)
        return figures

    def _strike(self) -> None:
        for number, fault in enumerate(self.faults):
            self.begun = number + 1
            time.sleep(self.chance.uniform(0.2, 1.0))
            note(f"{number + 1}/{len(self.faults)} {fault}")
            victim = self._victim()
            if "kill" in fault:
                self._until_busy()
            getattr(self, "_" + fault.replace(" ", "_"))(victim)

    def _until_busy(self) -> None:
        """Kill in the middle of work; the death of an idle worker is told by the last blow."""
        until = time.monotonic() + BUSY_WITHIN_S
        while not self.ward.states()["running"] and time.monotonic() < until:
            time.sleep(0.005)

    def _last_blow(self, sender: Thread) -> None:
        """The worst for a queue: messages go to workers that will never read them."""
        note("last blow: workers frozen, the rest uploaded, messages deleted, workers killed")
        from tests.support.worker import wait_for

        for worker in self.workers:
            wait_for(lambda worker=worker: worker.is_ready, timeout_s=240)
            worker.freeze()
        self.begun = len(self.faults) + 1
        self.may_finish.set()
        sender.join()
        for worker in self.workers:
            worker.kill()
        self._empty_the_broker(self.workers[0])
        for worker in self.workers:
            worker.launch()

    def _kill_child(self, worker: "RealWorker") -> None:
        for pid in worker.child_pids[:1]:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).send_signal(signal.SIGKILL)

    def _kill_worker(self, worker: "RealWorker") -> None:
        worker.kill()
        worker.launch()

    def _freeze_and_kill(self, worker: "RealWorker") -> None:
        worker.freeze()
        time.sleep(self.chance.uniform(0.5, 2.5))
        worker.kill()
        worker.launch()

    def _victim(self) -> "RealWorker":
        """Return a worker that is up."""
        while True:
            up = [w for w in self.workers if w.is_ready]
            if up:
                return self.chance.choice(up)
            time.sleep(0.1)

    def _empty_the_broker(self, _worker: "RealWorker") -> None:
        from tests.chaos.hospital import empty_the_broker

        empty_the_broker()

    def _restart_redis(self, _worker: "RealWorker") -> None:
        self.site.restart_redis()

    def _crash_postgres(self, _worker: "RealWorker") -> None:
        self.site.crash_postgres()

    def _cut_the_store(self, _worker: "RealWorker") -> None:
        self.site.storage.cut()
        time.sleep(OUTAGE_S)
        self.site.storage.heal()

    def _wait(self) -> None:
        """Wait until everything is done, or until nothing has moved for long."""
        moved, done = time.monotonic(), -1
        while done < self.options.uploads and time.monotonic() - moved < STALLED_S:
            now = self.ward.states()["succeeded"]
            if now != done:
                moved, done = time.monotonic(), now
            time.sleep(0.25)

    def _tell(self, figures: Figures, answers, took: float, whole: float) -> None:
        from dataclasses import asdict

        ledger = asdict(self.ward.ledger())
        uploads = self.options.uploads
        lost = len(answers.images.keys() ^ set(range(uploads))) + ledger["images_without_result"]
        if self.options.no_sweeper:
            figures.tell("control_without_sweeper_lost", lost, "uploads", lambda n: n > 0)
            return
        figures.tell("uploads", sum(answers.statuses.values()), "requests")
        figures.tell("faults", len(self.faults) + 1, "faults")
        figures.tell("lost", lost, "uploads", nothing)
        twice = ledger["results_more_than_one"] + ledger["findings_twice"] + answers.contradicting
        twice += abs(ledger["images"] - uploads) + abs(ledger["jobs"] - uploads)
        figures.tell("duplicated", twice, "uploads", nothing)
        for name in ("unfinished", "studies_not_ready", "audit_flaws", "objects_missing"):
            figures.tell(name, ledger[name], "rows", nothing)
        for name in ("uploads_audited", "results_audited"):
            figures.tell(name, ledger[name], "events", lambda n: n == uploads)
        refused = {s: n for s, n in answers.statuses.items() if s[0] == "5" and s != "503"}
        figures.tell("answers_5xx_but_503", sum(refused.values()), "answers", nothing)
        figures.tell("503_without_retry_after", answers.without_retry_after, "answers", nothing)
        figures.tell("statuses", dict(sorted(answers.statuses.items())), "answers")
        figures.tell("executions", ledger["executions"], "attempts")
        bar = DONE_WITHIN_S
        figures.tell("done_after_last_fault", round(took, 1), "s", lambda s: s <= bar)
        figures.tell("whole_run", round(whole, 1), "s")


def main(arguments: list[str] | None = None) -> int:
    """Run once a seed on one site."""
    options = parsed(arguments)
    shutil.rmtree(options.data, ignore_errors=True)
    missed = 0
    with ExitStack() as stack:
        extra = {}
        if options.broker == "rabbitmq":
            from tests.support.rabbitmq import running

            folder = options.data.with_name(options.data.name + "-rabbitmq")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            extra["CELERY_BROKER_URL"] = stack.enter_context(running(folder.resolve()))
        os.environ |= extra
        site = stack.enter_context(ChaosSite(options.data, env=extra))
        django.setup()
        for seed in range(options.seed, options.seed + options.seeds):
            missed |= Storm(options, site, seed).run().leave()
    return missed


if __name__ == "__main__":
    sys.exit(main())
