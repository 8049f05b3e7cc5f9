# ruff: noqa: E402, INP001 - a script that sets Django up before it imports models
"""How long the worklist takes with 100,000 studies, and by which index; JSON lines.

    python -m fracture_site.embedded run --data var/bench --throwaway --
        .venv/bin/python bench/worklist.py --studies 100000 --rounds 30

Times are of whole requests (session, transaction, queries, template) in this process, without
HTTP; ``processor_ms`` is what this process computes for one, which other load does not change.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")

import django

django.setup()

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.tenancy import clinic_scope
from diagnosis.models import Study
from diagnosis.selectors.worklist import place_of, worklist_page
from tests.factories import MembershipFactory
from tests.support.many_studies import many_studies


def main() -> None:
    """Fill a database, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    call_command("db_migrate", verbosity=0)
    settings.ALLOWED_HOSTS = ["testserver"]
    member = MembershipFactory(doctor=True, user__email=f"{uuid4()}@clinic.example")
    started = time.perf_counter()
    many_studies(clinic=member.clinic, user=member.user, count=options.studies)
    with connections["owner"].cursor() as owner:
        owner.execute("VACUUM ANALYZE")
    tell({"studies": options.studies, "filled_s": round(time.perf_counter() - started, 1)})
    client = Client()
    client.force_login(member.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    for name, request in requests_of(client, member).items():
        measure(name, request, options.rounds)
    plans(member)


def requests_of(client: Client, member: Any) -> dict[str, Any]:
    """Return what doctors ask for."""
    worklist = reverse("diagnosis:worklist")
    with clinic_scope(member.clinic_id):
        middle = Study.objects.filter(status="ready").order_by("rank")[20_000:20_001].first()
        deep = place_of(middle or Study.objects.filter(status="ready").earliest("rank"))
        shown = [str(pk) for pk in Study.objects.filter(status="ready").values_list("pk")[:25]]
    return {
        "unread": lambda: client.get(worklist),
        "unread, deep page": lambda: client.get(worklist, {"after": str(deep)}),
        "unread, sparse filter": lambda: client.get(
            worklist, {"region": "shoulder", "verdict": "definite", "priority": "0"}
        ),
        "all": lambda: client.get(worklist, {"tab": "all"}),
        "mine": lambda: client.get(worklist, {"tab": "mine"}),
        "to sign": lambda: client.get(worklist, {"tab": "to_sign"}),
        "reported": lambda: client.get(worklist, {"tab": "reported"}),
        "news": lambda: client.post(reverse("diagnosis:worklist-news"), {"shown": shown}),
        "study page": lambda: client.get(reverse("diagnosis:study-detail", args=[deep.id])),
    }


def measure(name: str, request: Any, rounds: int) -> None:
    """Print the times of one request."""
    answer = request()
    if answer.status_code not in {200, 204}:
        sys.exit(f"{name}: {answer.status_code}")
    spent: list[float] = []

    def note(execute: Any, *arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            spent.append((time.perf_counter() - started) * 1000)

    with connection.execute_wrapper(note):
        request()
    times, processor = [], time.process_time()
    for _round in range(rounds):
        started = time.perf_counter()
        request()
        times.append((time.perf_counter() - started) * 1000)
    processor = (time.process_time() - processor) * 1000 / rounds
    tell(
        {
            "request": name,
            "p50_ms": round(statistics.median(times), 1),
            "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1),
            "processor_ms": round(processor, 1),
            "queries": len(spent),
            "database_ms": round(sum(spent), 1),
        }
    )


def plans(member: Any) -> None:
    """Print which index each tab's page begins with."""
    for tab in ("unread", "all", "failed", "mine", "to_sign"):
        with clinic_scope(member.clinic_id), CaptureQueriesContext(connection) as captured:
            worklist_page(user=member.user, tab=tab, rows=25)
        sql = captured.captured_queries[0]["sql"]
        with clinic_scope(member.clinic_id), connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS OFF, TIMING OFF) {sql}")
            lines = [row[0] for row in cursor.fetchall()]
        tell(
            {
                "plan": tab,
                "scans": [line.strip() for line in lines if "Scan" in line],
                "execution": lines[-1],
            }
        )


def tell(line: dict[str, Any]) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    transaction.set_autocommit(True)
    main()
