# ruff: noqa: E402, INP001 - a script that sets Django up before it imports models
"""How many audit events a second one clinic can write and have sealed; JSON lines.

    python -m fracture_site.embedded run --data var/bench-audit --throwaway -- \
        .venv/bin/python bench/audit.py --processes 4 --seconds 10

Each process writes events in transactions of their own, as requests do; one more seals meanwhile,
as a worker's sweeper does. ``events_per_s`` counts events that were written *and* sealed, from the
first write to the last seal. ``processor_ms_per_event`` is what the site's processes compute for
one (without PostgreSQL's), which other load does not change. The chain is verified at the end.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path
from uuid import UUID, uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")

import django

django.setup()

from django.core.management import call_command
from django.db import connections

from accounts.audit import audit_record
from accounts.audit_chain import chain_verify, chains_seal
from accounts.models import AuditEvent, User
from accounts.tenancy import clinic_scope
from tests.factories import MembershipFactory


def main() -> None:
    """Write, seal, verify, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    call_command("db_migrate", verbosity=0)
    member = MembershipFactory(user__email=f"{uuid4()}@clinic.example")
    clinic, user = member.clinic_id, member.user_id
    connections.close_all()
    own = resource.getrusage(resource.RUSAGE_SELF)
    before = own.ru_utime + own.ru_stime
    started = time.perf_counter()
    arguments = (clinic, user, options.seconds)
    writers = [
        multiprocessing.Process(target=write, args=arguments) for _ in range(options.processes)
    ]
    for writer in writers:
        writer.start()
    sealed = 0
    while any(writer.is_alive() for writer in writers):
        sealed += chains_seal()
    while count := chains_seal():
        sealed += count
    elapsed = time.perf_counter() - started
    spent = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    )
    spent -= before
    with clinic_scope(clinic):
        report = chain_verify(AuditEvent.objects.all(), clinic)
    figures = {
        "processes": options.processes,
        "seconds": round(elapsed, 1),
        "sealed": report.sealed,
        "events_per_s": round(report.sealed / elapsed),
        "processor_ms_per_event": round(1000 * spent / max(1, report.sealed), 2),
        "failed_writers": sum(1 for writer in writers if writer.exitcode),
        "waiting": report.waiting,
        "flaw": report.flaw.code if report.flaw else None,
        "seconds_to_verify": round(_timed(clinic), 2),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def write(clinic: UUID, user: UUID, seconds: float) -> None:
    """Write events of one clinic for a while."""
    actor, end = User.objects.get(pk=user), time.perf_counter() + seconds
    while time.perf_counter() < end:
        with clinic_scope(clinic):
            audit_record(
                actor=actor, action="image.open", clinic_id=clinic, patient_id=uuid4(), study="x"
            )


def _timed(clinic: UUID) -> float:
    started = time.perf_counter()
    with clinic_scope(clinic):
        chain_verify(AuditEvent.objects.all(), clinic)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
