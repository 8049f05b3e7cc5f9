"""A deployment, and a change of the secret key, while people read and programs upload.

    python -m tests.chaos.drill --data var/drill deploy keys

``deploy``: ``db_migrate`` twice, a migration that adds a column to the busiest table, the web
processes replaced by new ones (SIGHUP to gunicorn) twice, every worker stopped politely and started
again. ``keys``: a new SECRET_KEY in the two steps of the runbook, everywhere, while a person stays
signed in. Bars: no request fails, nobody is signed out, no job is interrupted, the audit trail is
whole. JSON lines; 1 when a bar is missed.
"""

import argparse
import http.client
import os
import random
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import django

from tests.chaos.figures import Figures, note, nothing
from tests.chaos.load import Desk, Load
from tests.chaos.site import ROOT, ChaosSite

FINE = ("200", "201")


class Person:
    """One browser: keeps the cookies that it is given, follows nothing."""

    def __init__(self, address: str, cookie: str) -> None:
        self._host = urlsplit(address).netloc
        name, _, value = cookie.partition("=")
        self._cookies = {name: value}

    def worklist(self) -> tuple[str, bytes, str]:
        line = http.client.HTTPConnection(self._host, timeout=60)
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        try:
            line.request("GET", "/", None, {"Cookie": cookies})
            answer = line.getresponse()
            for given in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = given.partition(";")[0].partition("=")
                self._cookies[name] = value
            return str(answer.status), answer.read(), answer.getheader("Retry-After", "")
        except (OSError, http.client.HTTPException):
            return "broken", b"", ""
        finally:
            line.close()


class Drill:
    """A site under a moderate load, and steps that are taken meanwhile."""

    def __init__(self, name: str, options: argparse.Namespace, env: dict[str, str]) -> None:
        from tests.chaos.hospital import Ward
        from tests.support.web import RealWeb
        from tests.support.worker import RealWorker

        self.name, self.options = name, options
        self.ward = Ward(options.uploads, 0, random.Random(0))  # noqa: S311 - no secret
        self.web = RealWeb(env=dict(env))
        self.workers = [RealWorker(concurrency=1, env=dict(env)) for _ in range(2)]

    def run(self, steps: Callable[["Drill"], None]) -> int:
        """Take the steps under load, wait for the rest, count."""
        with ExitStack() as stack:
            for part in (self.web, *self.workers):
                stack.callback(part.stop)
                part.start(timeout_s=240)
            senders = self.ward.senders(self.web.address)
            desk = Desk(senders, self.ward.posts, "")
            person = Person(self.web.address, self.ward.cookie())
            load = Load()
            load.ask("worklist", person.worklist, every_s=0.3)
            load.ask("studies", desk.studies, every_s=0.3)
            load.ask("upload", desk.upload, every_s=0.5)
            with load:
                steps(self)
                time.sleep(3)
            self.ward.wait_for_all(timeout_s=240)
        ledger = self.ward.ledger()
        figures = Figures(n=load.answers)
        figures.tell(f"{self.name}_answers", {k: dict(v) for k, v in load.statuses.items()}, "")
        failed = load.answers - load.count(*FINE, "none left")
        figures.tell(f"{self.name}_failed_requests", failed, "requests", nothing)
        figures.tell(f"{self.name}_lost", desk.kept - ledger.succeeded, "uploads", nothing)
        again = ledger.executions - ledger.succeeded
        figures.tell(f"{self.name}_interrupted_jobs", again, "jobs", nothing)
        figures.tell(f"{self.name}_audit_flaws", ledger.audit_flaws, "events", nothing)
        return figures.leave()

    def replace_workers(self, **env: str) -> None:
        """Stop each politely, one after the other, and start it with other variables."""
        for worker in self.workers:
            worker.stop(grace_s=60)
            worker.change(env)
            worker.start(timeout_s=240)


def deploy(options: argparse.Namespace) -> int:
    def steps(drill: Drill) -> None:
        note("db_migrate: nothing to do")
        migrate()
        note("a column more in the busiest table, by the owner")
        expand()
        note("new web processes")
        drill.web.reload()
        note("new workers, one after the other")
        drill.replace_workers()
        note("new web processes again")
        drill.web.reload()

    return Drill("deploy", options, {}).run(steps)


def keys(options: argparse.Namespace) -> int:
    old, new = os.environ["SECRET_KEY"], os.environ["SECRET_KEY_FALLBACKS"]

    def steps(drill: Drill) -> None:
        both = [(old, new, "the new key is known everywhere"), (new, old, "and now it is used")]
        for key, former, what in both:
            note(what)
            env = {"SECRET_KEY": key, "SECRET_KEY_FALLBACKS": former}
            drill.web.reload(**env)
            drill.replace_workers(**env)

    before = {"SECRET_KEY": old, "SECRET_KEY_FALLBACKS": ""}
    return Drill("keys", options, before).run(steps)


def migrate() -> None:
    """Run the command that a deployment runs."""
    command = [sys.executable, "manage.py", "db_migrate", "--verbosity=0"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)


def expand() -> None:
    """Change the schema as the first half of an expand-and-contract migration does."""
    import psycopg2

    with closing(psycopg2.connect(os.environ["DATABASE_OWNER_URL"])) as line:
        line.autocommit = True
        with line.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
            for attempt in range(10):
                try:
                    cursor.execute("ALTER TABLE diagnosis_analysis ADD COLUMN drill text")
                except psycopg2.errors.LockNotAvailable:
                    note(f"the table is busy, attempt {attempt + 1}")
                    time.sleep(1)
                else:
                    return
    raise AssertionError("the table was never free")


def main(arguments: list[str] | None = None) -> int:
    """Run the named drills on one site."""
    known = {"deploy": deploy, "keys": keys}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=list(known))
    parser.add_argument("--data", type=Path, default=Path("var/drill"), help="emptied first")
    parser.add_argument("--uploads", type=int, default=600, help="as many as there may be")
    options = parser.parse_args(arguments)
    shutil.rmtree(options.data, ignore_errors=True)
    # This process only counts: it must prove events of both keys.
    names = ("SECRET_KEY", "SECRET_KEY_FALLBACKS")
    with ChaosSite(options.data, env={name: secrets.token_urlsafe(48) for name in names}):
        django.setup()
        return max(known[name](options) for name in options.names)


if __name__ == "__main__":
    sys.exit(main())
