# ruff: noqa: E402, INP001 - a script that sets Django up before it imports models
"""How long pages and API take on the database that is given; JSON lines.

    python -m fracture_site.embedded run --data /dev/shm/size --throwaway --
        .venv/bin/python bench/size.py --studies 1000000 --clinics 200

Fills an empty database (``bench/population.py``) and uses a filled one as it is. Two kinds of
lines: ``request`` is one page asked again and again in this process, with its queries and the big
tables that some query reads from end to end; ``crowd`` is fifty people at once over HTTP against
the web server of the ``Procfile``, each of them with a pause between two pages.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")

import django

django.setup()

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Clinic, Membership
from accounts.tenancy import clinic_scope
from bench.crowd import crowd
from bench.population import Population, populate  # sets Django up
from diagnosis.models import Patient, Study
from diagnosis.selectors.worklist import place_of

BACKEND: Final = "allauth.account.auth_backends.AuthenticationBackend"
BIG_TABLE: Final = 5000  # rows; reading a smaller one as a whole is what a planner should do


@dataclass(frozen=True, slots=True)
class Page:
    """One address, as somebody asks for it."""

    name: str
    path: str
    data: dict[str, str] = field(default_factory=dict)
    post: bool = False

    def ask(self, client: Client) -> Any:
        """Ask for it in this process."""
        ask = client.post if self.post else client.get
        return ask(self.path, self.data, HTTP_HX_REQUEST="true" if self.post else "")


def pages_of(member: Membership) -> list[Page]:
    """Return what people and programs of a clinic ask for."""
    worklist, dashboard = reverse("diagnosis:worklist"), reverse("diagnosis:dashboard")
    today = timezone.now().date()
    with clinic_scope(member.clinic_id):
        unread = Study.objects.filter(status="ready").order_by("rank", "created_at", "id")
        count = unread.count()
        deep = place_of(unread[count // 2])
        study = Study.objects.filter(status="reported").order_by("created_at")[count // 4]
        patient = Patient.objects.get(pk=study.patient_id)
    day = study.created_at.date()
    qido, api = "/api/dicomweb/studies", "/api/v1"
    spans = {
        f"dashboard, {days} days": {
            "first": (today - timedelta(days=days - 1)).isoformat(),
            "last": today.isoformat(),
        }
        for days in (30, 90, 365)
    }
    return [
        Page("worklist", worklist),
        Page("worklist, deep page", worklist, {"after": str(deep)}),
        Page("worklist, filtered", worklist, {"region": "shoulder", "priority": "0"}),
        Page("worklist, all", worklist, {"tab": "all"}),
        Page("worklist, reported", worklist, {"tab": "reported"}),
        Page("worklist, to sign", worklist, {"tab": "to_sign"}),
        Page("worklist, news", reverse("diagnosis:worklist-news"), {}, post=True),
        Page("patients", reverse("diagnosis:patient-list")),
        Page("patients, page 20", reverse("diagnosis:patient-list"), {"page": "20"}),
        Page(
            "patient search, one", reverse("diagnosis:patient-list"),
            {"q": patient.record_number}, post=True,
        ),
        Page(
            "patient search, many", reverse("diagnosis:patient-list"), {"q": "Rosa"}, post=True
        ),
        Page("patient page", reverse("diagnosis:patient-detail", args=[patient.pk])),
        Page("study page", reverse("diagnosis:study-detail", args=[study.pk])),
        *(Page(name, dashboard, span) for name, span in spans.items()),
        Page("audit trail", reverse("accounts:audit-log")),
        Page(
            "audit trail, one day", reverse("accounts:audit-log"),
            {"since": str(day), "until": str(day)},
        ),
        Page("QIDO, newest", qido),
        Page("QIDO, by UID", qido, {"StudyInstanceUID": study.study_instance_uid}),
        Page("QIDO, by patient", qido, {"PatientID": patient.record_number}),
        Page("QIDO, by accession", qido, {"AccessionNumber": study.accession_number}),
        Page("QIDO, by day", qido, {"StudyDate": f"{day:%Y%m%d}"}),
        Page("QIDO, by name", qido, {"PatientName": f"{patient.family_name}*"}),
        Page("API, studies", f"{api}/studies/"),
        Page("API, patient search", f"{api}/patients/", {"q": patient.record_number}),
        Page("FHIR, patient", "/fhir/R4/Patient", {"identifier": patient.record_number}),
    ]  # fmt: skip


def measure(page: Page, client: Client, rounds: int) -> dict[str, Any]:
    """Return one page's figures without anybody else asking."""
    answer = page.ask(client)
    if answer.status_code not in {200, 204}:
        sys.exit(f"{page.name}: {answer.status_code}")
    spent: list[float] = []

    def note(execute: Any, *arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            spent.append((time.perf_counter() - started) * 1000)

    times, processor, database = [], [], []
    for _round in range(rounds):
        spent.clear()
        started, used = time.perf_counter(), time.process_time()
        with connection.execute_wrapper(note):
            page.ask(client)
        times.append((time.perf_counter() - started) * 1000)
        processor.append((time.process_time() - used) * 1000)
        database.append(sum(spent))
    return {
        "request": page.name,
        "p50_ms": round(statistics.median(times), 1),
        "processor_ms": round(statistics.median(processor), 1),
        "database_ms": round(statistics.median(database), 1),
        "queries": len(spent),
    }


def whole_tables(page: Page, client: Client, member: Membership) -> list[str]:
    """Return the big tables that a query of the page would read from end to end."""
    with CaptureQueriesContext(connection) as captured:
        page.ask(client)
    asked = {query["sql"].strip() for query in captured.captured_queries}
    selects = {sql for sql in asked if sql.startswith("SELECT")}
    found: set[str] = set()
    with clinic_scope(member.clinic_id), connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE reltuples > %s", [BIG_TABLE])
        big = {row[0] for row in cursor.fetchall()}
        for sql in selects:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
            plan = cursor.fetchone()[0]
            found |= {
                node["Relation Name"]
                for node in _nodes(plan[0]["Plan"])
                if "Seq" in node["Node Type"]
            }
    return sorted(found & big)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def members_of_filled() -> Population | None:
    """Return who is asked for in a database that is filled already."""
    if not Clinic.objects.filter(name="Clinic 0").exists():
        return None
    number = Clinic.objects.filter(name__startswith="Clinic ").count() // 2

    def people(name: str) -> list[Membership]:
        found = Membership.objects.filter(clinic__name=name).select_related("user", "clinic")
        return sorted(found, key=lambda one: int(one.user.email[1:].partition("@")[0]))

    return Population(big=people("Clinic 0"), average=people(f"Clinic {number}"))


def main() -> None:
    """Fill if need be, then measure."""
    parser = argparse.ArgumentParser(prog="bench/size.py")
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--clinics", type=int, default=200)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the crowd; 0: none")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two pages")
    parser.add_argument("--only", default="", help="names of pages that begin so")
    options = parser.parse_args()
    call_command("db_migrate", verbosity=0)
    settings.ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
    started = time.perf_counter()
    found = members_of_filled()
    if found is None:
        found = populate(studies=options.studies, clinics=options.clinics, users=options.users)
        tell({"studies": options.studies, "filled_s": round(time.perf_counter() - started, 1)})
    groups = (
        {"big": found.big} if options.clinics == 1 else {"big": found.big, "average": found.average}
    )
    asked: list[tuple[str, list[Membership], list[Page]]] = []
    for name, members in groups.items():
        pages = [page for page in pages_of(members[0]) if page.name.startswith(options.only)]
        asked.append((name, members, pages))
        client = Client()
        client.force_login(members[0].user, backend=BACKEND)
        for page in pages:
            line = measure(page, client, options.rounds)
            line["whole_tables"] = whole_tables(page, client, members[0])
            tell({"studies": options.studies, "clinic": name, **line})
    if options.seconds:
        crowd_of(asked, options)


def crowd_of(asked: list[tuple[str, list[Membership], list[Page]]], options: Any) -> None:
    """Let people of all measured clinics ask at once."""
    people = [
        (name, _signed_in(members[index % 5]), pages)
        for index in range(options.people)
        for name, members, pages in [asked[index % len(asked)]]
    ]
    for line in crowd(people, seconds=options.seconds, pause=options.pause):
        tell({"studies": options.studies, **line})


def _signed_in(member: Membership) -> str:
    client = Client()
    client.force_login(member.user, backend=BACKEND)
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)


def tell(line: dict[str, Any]) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
