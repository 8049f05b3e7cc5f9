# ruff: noqa: INP001 - a script's part
"""Many people at once against the real web server: what each page takes them."""

import http.client
import os
import random
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from fracture_site import processes
from tests.support.database import ROOT, database_url
from tests.support.orthanc import free_port

TOKEN = "x" * 32  # both halves of the forgery check are the visitor's own


def crowd(
    people: list[tuple[str, str, list[Any]]], *, seconds: float, pause: float
) -> Iterator[dict[str, Any]]:
    """Yield the percentiles of each page, by group, in milliseconds as the visitor sees them.

    ``people`` are a group's name, the key of a session, and the pages that the person opens.
    """
    port, server = web_server()
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    failed: list[str] = []
    end = time.monotonic() + seconds

    def visit(number: int, group: str, session: str, pages: list[Any]) -> None:
        chance = random.Random(number)  # noqa: S311 - the same crowd each time
        time.sleep(chance.random() * pause)
        while time.monotonic() < end:
            page = chance.choice(pages)
            started = time.perf_counter()
            status = _ask(port, session, page)
            taken[group, page.name].append((time.perf_counter() - started) * 1000)
            if status not in {200, 204}:
                failed.append(f"{page.name}: {status}")
            time.sleep(chance.expovariate(1 / pause))

    try:
        visitors = [
            threading.Thread(target=visit, args=(number, *person))
            for number, person in enumerate(people)
        ]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
    finally:
        processes.stop(server, grace_s=10)
    if failed:
        sys.exit(f"{len(failed)} pages failed, the first: {failed[0]}")
    everything = [each for times in taken.values() for each in times]
    yield {"crowd": "all pages", "people": len(people), **_percentiles(everything)}
    for (group, name), times in sorted(taken.items()):
        yield {"crowd": name, "clinic": group, **_percentiles(times)}


def _percentiles(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100) if len(times) > 1 else times * 99
    return {
        "n": len(times),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "p99_ms": round(cuts[98], 1),
    }


def web_server() -> tuple[int, Any]:
    """Start what the ``Procfile`` calls web; return its port and process when it answers."""
    port = free_port()
    env = os.environ | {
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "fracture_site.settings.test",
    }
    env.pop("DATABASE_OWNER_URL", None)
    command = [
        sys.executable, "-m", "gunicorn", "fracture_site.wsgi:application",
        "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--workers", "2",
        "--threads", "8", "--timeout", "120", "--no-control-socket",
    ]  # fmt: skip
    with (ROOT / os.devnull).open("ab") as output:
        server = processes.spawn_tied(command, cwd=ROOT, output=output, env=env)

    def answers() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    if not processes.wait_until(answers, timeout_s=60, interval_s=0.2):
        sys.exit("the web server does not answer")
    for _ in range(20):  # each of its processes has imported everything
        answers()
    return port, server


def _ask(port: int, session: str, page: Any) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    cookies = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={TOKEN}"
    headers = {"Cookie": cookies}
    try:
        if page.post:
            headers |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "X-CSRFToken": TOKEN,
                "HX-Request": "true",
            }
            connection.request("POST", page.path, urlencode(page.data), headers)
        else:
            query = f"?{urlencode(page.data)}" if page.data else ""
            connection.request("GET", page.path + query, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
