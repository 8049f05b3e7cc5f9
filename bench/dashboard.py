# ruff: noqa: INP001 - a script that sets Django up before it imports models
"""How long the dashboard takes with 100,000 studies; JSON lines, as of ``bench/worklist.py``.

python -m fracture_site.embedded run --data var/bench --throwaway --
    .venv/bin/python bench/dashboard.py --studies 100000 --rounds 5
"""

import argparse
import sys
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bench.worklist import measure, tell  # sets Django up
from tests.factories import MembershipFactory
from tests.support.many_studies import many_analyses, many_studies


def main() -> None:
    """Fill a database, then ask for thirty days, for half a year, and for a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    call_command("db_migrate", verbosity=0)
    settings.ALLOWED_HOSTS = ["testserver"]
    member = MembershipFactory(doctor=True, user__email=f"{uuid4()}@clinic.example")
    started = time.perf_counter()
    many_studies(clinic=member.clinic, user=member.user, count=options.studies)
    many_analyses(clinic=member.clinic)
    with connections["owner"].cursor() as owner:
        owner.execute("VACUUM ANALYZE")
    tell({"studies": options.studies, "filled_s": round(time.perf_counter() - started, 1)})
    client = Client()
    client.force_login(member.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = reverse("diagnosis:dashboard")
    today = timezone.now().date()
    for name, days in (("30 days", 30), ("90 days", 90), ("all", 365)):
        span = {"first": (today - timedelta(days=days - 1)).isoformat(), "last": today.isoformat()}
        measure(name, lambda span=span: client.get(page, span), options.rounds)
    file = reverse("diagnosis:dashboard-csv", args=["agreement"])
    measure("CSV file, 30 days", lambda: client.get(file), options.rounds)


if __name__ == "__main__":
    transaction.set_autocommit(True)
    main()
