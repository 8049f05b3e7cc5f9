# ruff: noqa: E402, INP001 - a script that sets Django up before it imports models
"""A site at size: a million studies in two hundred clinics with two thousand people.

A tenth of the studies are in one big clinic, the rest are spread evenly, over a year each; half
of the studies of a clinic are old, as ``tests.support.many_studies`` says. Rows only: no stored
pictures. Everything goes in as the application role, through the wall between clinics, clinic by
clinic in two threads. ``bench/size.py`` measures it; alone it fills the database that it is given:

    python -m fracture_site.embedded run --data /dev/shm/size --throwaway --
        .venv/bin/python bench/population.py --studies 1000000
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")

import django

django.setup()

from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection, connections

from accounts.models import Clinic, Membership, Role, User
from diagnosis.models import ModelVersion
from tests.factories import ModelVersionFactory
from tests.support.many_studies import many_analyses, many_events, many_studies

MINUTES_OF_A_YEAR: Final = 365 * 24 * 60
THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class Population:
    """Members of two clinics: the biggest one, and one of average size."""

    big: list[Membership]
    average: list[Membership]


def populate(
    *,
    studies: int,
    clinics: int = 200,
    users: int = 2000,
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> Population:
    """Fill a migrated database. With one clinic all studies are in it."""
    places = list(
        Clinic.objects.bulk_create(Clinic(name=f"Clinic {n}") for n in range(max(1, clinics)))
    )
    members = _members(places, users)
    version = ModelVersionFactory()
    big = studies // 10 if len(places) > 1 else studies
    each = (studies - big) // max(1, len(places) - 1)

    def one(number: int) -> None:
        clinic, count = places[number], each if number else big
        _fill(clinic, members[clinic.pk][0].user, count, version)
        connection.close()
        if tell and number % 20 == 0:
            tell({"clinic": number, "studies": count})

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(len(places))))
    with connections["owner"].cursor() as owner:
        owner.execute("VACUUM ANALYZE")
    return Population(big=members[places[0].pk], average=members[places[len(places) // 2].pk])


def _fill(clinic: Clinic, user: User, count: int, version: ModelVersion) -> None:
    many_studies(
        clinic=clinic, user=user, count=count, gap_minutes=MINUTES_OF_A_YEAR / max(1, count)
    )
    many_analyses(clinic=clinic, version=version)
    many_events(clinic=clinic, user=user)


def _members(places: list[Clinic], users: int) -> dict[Any, list[Membership]]:
    """Spread people over the clinics; the first ones of each are doctors and administrators."""
    password = make_password(None)
    people = User.objects.bulk_create(
        User(email=f"p{n}@clinic.example", full_name=f"Person {n}", password=password)
        for n in range(users)
    )
    found: dict[Any, list[Membership]] = {place.pk: [] for place in places}
    for number, person in enumerate(people):
        place = places[number % len(places)]
        leads = len(found[place.pk]) < 5
        roles = [Role.DOCTOR, Role.CLINIC_ADMIN] if leads else [Role.TECHNICIAN]
        found[place.pk].append(Membership(user=person, clinic=place, roles=roles))
    Membership.objects.bulk_create(row for rows in found.values() for row in rows)
    return found


def main() -> None:
    """Fill the configured database."""
    parser = argparse.ArgumentParser(prog="bench/population.py")
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--clinics", type=int, default=200)
    parser.add_argument("--users", type=int, default=2000)
    options = parser.parse_args()
    call_command("db_migrate", verbosity=0)
    started = time.perf_counter()
    populate(**vars(options), tell=_print)
    with connections["owner"].cursor() as owner:
        owner.execute("SELECT pg_database_size(current_database())")
        size = owner.fetchone()[0]
    seconds = round(time.perf_counter() - started, 1)
    _print({**vars(options), "seconds": seconds, "gigabytes": round(size / 1e9, 2)})


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
