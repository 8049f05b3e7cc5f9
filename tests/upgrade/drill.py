"""Drill of an upgrade: data made by an older release, upgraded, used, and rolled back; JSON lines.

    make upgrade-drill PREVIOUS=2d610be

The older release is a commit of this repository, checked out into a folder of its own: its own code
makes the tables, the people, the studies and the first results, and leaves some jobs waiting. Then
this release runs `manage.py upgrade`, answers pages, and its worker does what was left. Last, the
older release restores the upgrade's backup into an empty site. Exit 1 when anything differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from fracture_site import processes
from fracture_site.embedded import services
from tests.support.database import ROOT
from tests.support.orthanc import free_port

OPEN = ("queued", "running")
# What a result is: none of it may change by an upgrade.
RESULTS = (
    "SELECT id, verdict, probability, region, severity, thresholds::text, model_version_id, "
    "finished_at FROM diagnosis_analysis WHERE status = 'succeeded'"
)

FAILED = "SELECT error_code FROM diagnosis_analysis WHERE status = 'failed'"


def main() -> int:
    """Make old data, upgrade, look, go back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--previous", required=True)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fracture-upgrade-"))
    folder.chmod(0o711)
    old = folder / "old"
    git = ["git", "-C", str(ROOT)]
    subprocess.run([*git, "worktree", "add", "--detach", "--quiet", str(old), options.previous],
                   check=True)  # fmt: skip
    try:
        passed = drill(old, folder, options.previous)
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", str(old)], check=True)
    shutil.rmtree(folder)
    return 0 if passed else 1


def drill(old: Path, folder: Path, previous: str) -> bool:
    """Go through it; return whether every line passed."""
    passed = True
    with services(folder / "data", throwaway=True) as urls:
        env = environment(urls, folder / "site", owner=True)
        began = time.monotonic()
        for command in (["db_migrate"], ["model_sync"], seeding(folder)):
            manage(old, env, *command)
        with worker(old, env, folder / "old-worker.log", grace_s=0):  # killed in mid-work
            wait(lambda: count(urls, "succeeded") >= 3)
        before, waiting = results(urls), count(urls, *OPEN)
        tell(step="data of the older release", release=previous, seconds=since(began),
             results=len(before), jobs_left_waiting=waiting)  # fmt: skip

        began = time.monotonic()
        said = manage(ROOT, env, "upgrade", "--to", str(folder / "backups"))
        (told,) = (folder / "backups").glob("*/manifest.json")
        backup = told.parent
        steps = {
            line.partition(": done in ")[0]: float(line.rpartition(" in ")[2].split()[0])
            for line in said.splitlines()
            if ": done in " in line
        }
        kept = results(urls) == before
        passed &= kept and len(steps) == 5
        tell(step="upgrade", seconds=since(began), seconds_of=steps,
             migrations=int(said.split()[0]),
             shipped_model=("registered", "kept out")["was not registered" in said],
             results_unchanged=kept, passed=kept)  # fmt: skip

        again = manage(ROOT, env, "upgrade", "--dry-run", "--to", str(folder / "backups"))
        passed &= again.startswith("0 migrations")
        began = time.monotonic()
        pages = web_answers(env, folder)
        with worker(ROOT, env, folder / "new-worker.log"):
            wait(lambda: count(urls, *OPEN) == 0)
        after = results(urls)
        whole = before.items() <= after.items() and len(after) == len(before) + waiting
        passed &= whole and all(status == 200 for status in pages.values())
        tell(step="this release at work", seconds=since(began), answers=pages,
             old_results_unchanged=before.items() <= after.items(),
             waiting_jobs_done=len(after) - len(before),
             failed_jobs=[code for (code,) in query(urls, FAILED)], passed=whole)  # fmt: skip
    with services(folder / "restored", throwaway=True) as urls:
        began = time.monotonic()
        env = environment(urls, folder / "rolled-back", owner=True)
        env["SECRET_KEY"] = SECRET
        said = manage(old, env, "restore", str(backup))
        back = results(urls) == before
        passed &= back
        tell(step="rollback: the older release restores the backup", seconds=since(began),
             said=said.strip().splitlines()[-1], results_as_before=back, passed=back)  # fmt: skip
    return passed


SECRET = "drill-only-key-that-is-long-enough-to-pass-the-checks-0123456789"


def environment(urls: dict[str, str], site: Path, *, owner: bool) -> dict[str, str]:
    """Return what both releases are started with: production settings without TLS."""
    env = {
        "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(site),
        "DJANGO_SETTINGS_MODULE": "fracture_site.settings.production",
        "SECRET_KEY": SECRET, "BASE_URL": "http://127.0.0.1", "TLS_ENABLED": "false",
        "ALLOWED_HOSTS": "127.0.0.1", "PRIVATE_MEDIA_ROOT": str(site / "media"),
        "ML_CACHE_DIR": str(site / "models"), "STATIC_ROOT": str(site / "static"),
        "DATABASE_URL": urls["DATABASE_URL"], "REDIS_URL": urls["REDIS_URL"],
    }  # fmt: skip
    return env | ({"DATABASE_OWNER_URL": urls["DATABASE_OWNER_URL"]} if owner else {})


def seeding(folder: Path) -> list[str]:
    return ["seed_demo", "--base-url", "http://127.0.0.1", "--output", str(folder / "seed.json")]


def manage(code: Path, env: dict[str, str], *command: str) -> str:
    """Run a command of a release to its end and return what it said."""
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=code, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{code} {command}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


@contextmanager
def worker(code: Path, env: dict[str, str], log: Path, *, grace_s: float = 30) -> Iterator[None]:
    """Run a release's worker."""
    command = [sys.executable, "-m", "celery", "-A", "fracture_site", "worker", "--concurrency",
               "1", "--without-gossip", "--without-mingle"]  # fmt: skip
    with log.open("ab") as output:
        process = processes.spawn_tied(command, cwd=code, output=output, env=without_owner(env))
    try:
        yield
    finally:
        processes.stop(process, grace_s=grace_s)


def web_answers(env: dict[str, str], folder: Path) -> dict[str, int]:
    """Start this release's web process and return what it answers."""
    port, found = free_port(), {}
    command = [sys.executable, "-m", "gunicorn", "fracture_site.wsgi:application", "--bind",
               f"127.0.0.1:{port}", "--no-control-socket"]  # fmt: skip
    with (folder / "web.log").open("ab") as output:
        process = processes.spawn_tied(command, cwd=ROOT, output=output, env=without_owner(env))
    token = json.loads((folder / "seed.json").read_text())
    secrets = {"Authorization": f"Token {first_token(token)}"}
    try:
        wait(lambda: answer(f"http://127.0.0.1:{port}/healthz", {}) == 200)
        for path in (
            "/readyz?for=web",
            "/accounts/login/",
            "/api/v1/studies/",
            "/api/v1/patients/",
        ):
            found[path] = answer(f"http://127.0.0.1:{port}{path}", secrets)
    finally:
        processes.stop(process, grace_s=10)
    return found


def first_token(told: Any) -> str:
    """Return the first API token anywhere in the file of demo accounts."""
    if isinstance(told, dict):
        for name, value in told.items():
            if "token" in name and isinstance(value, str):
                return value
        told = list(told.values())
    for value in told if isinstance(told, list) else []:
        if found := first_token(value):
            return found
    return ""


def answer(url: str, headers: dict[str, str]) -> int:
    """Return the status of an answer; 0 when there is none."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
    except OSError:
        return 0


def without_owner(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name != "DATABASE_OWNER_URL"}


def query(urls: dict[str, str], statement: str, values: Any = ()) -> list[tuple[Any, ...]]:
    """Ask the database as the application, clinic by clinic."""
    rows: list[tuple[Any, ...]] = []
    link = psycopg2.connect(urls["DATABASE_URL"])
    try:
        with link.cursor() as cursor:
            cursor.execute("SELECT id::text FROM accounts_clinic")
            for (clinic,) in cursor.fetchall():
                cursor.execute("SELECT set_config('app.clinic', %s, true)", [clinic])
                cursor.execute(statement, values)
                rows += cursor.fetchall()
    finally:
        link.close()
    return rows


def results(urls: dict[str, str]) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in query(urls, RESULTS)}


def count(urls: dict[str, str], *states: str) -> int:
    found = query(urls, "SELECT id FROM diagnosis_analysis WHERE status = ANY(%s)", [list(states)])
    return len(found)


def wait(condition: Any) -> None:
    if not processes.wait_until(condition, timeout_s=300, interval_s=0.2):
        raise SystemExit("nothing happened for five minutes")


def since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def tell(**figures: Any) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
