"""Fifty people sign one report at the same moment, again and again: one signature each time.

    python -m tests.chaos.signing --data var/signing --rounds 200 --at-once 50

All attempts wait at one barrier, each with a database connection of its own. Afterwards the
application's own database role tries to change what is signed, in SQL. JSON lines; 1 when a bar is
missed.
"""

import argparse
import shutil
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

import django

from tests.chaos.figures import Figures, note, nothing
from tests.chaos.site import ChaosSite

if TYPE_CHECKING:
    from accounts.models import Membership
    from diagnosis.models import Report

CHANGES = (
    "UPDATE diagnosis_reportversion SET impression = 'x' WHERE report_id = %s",
    "UPDATE diagnosis_reportversion SET status = 'draft' WHERE report_id = %s",
    "UPDATE diagnosis_reportversion SET pdf_sha256 = '' WHERE report_id = %s",
    "DELETE FROM diagnosis_reportversion WHERE report_id = %s",
    "TRUNCATE diagnosis_reportversion CASCADE",
    "ALTER TABLE diagnosis_reportversion DISABLE TRIGGER ALL",
)


def main(arguments: list[str] | None = None) -> int:
    """Race, count, try to change."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("var/signing"), help="emptied first")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=50)
    options = parser.parse_args(arguments)
    shutil.rmtree(options.data, ignore_errors=True)
    with ChaosSite(options.data):
        django.setup()
        return race(options.rounds, options.at_once)


def race(rounds: int, at_once: int) -> int:
    """Sign ``rounds`` reports ``at_once`` times each, in the database of this process."""
    from tests.factories import MembershipFactory

    doctor = MembershipFactory(doctor=True)
    outcomes: Counter[str] = Counter()
    not_one = changed = audited = 0
    with ThreadPoolExecutor(at_once) as pool:
        for number in range(rounds):
            report = _draft(doctor)
            barrier = Barrier(at_once)
            outcomes.update(
                pool.map(lambda _n, r=report, b=barrier: _sign(doctor, r, b), range(at_once))
            )
            signed, events = _signatures(doctor, report)
            not_one += signed != 1
            audited += events
            changed += _changes(doctor, report)
            if number % 20 == 19:
                note(f"{number + 1}/{rounds}")
    figures = Figures(n=rounds)
    figures.tell("attempts", rounds * at_once, "attempts")
    figures.tell("outcomes", dict(outcomes), "attempts")
    figures.tell("reports_without_exactly_one_signature", not_one, "reports", nothing)
    figures.tell("signed_answers", outcomes["signed"], "answers", lambda n: n == rounds)
    figures.tell("signatures_audited", audited, "events", lambda n: n == rounds)
    others = sum(outcomes.values()) - outcomes["signed"] - outcomes["already_signed"]
    figures.tell("other_outcomes", others, "attempts", nothing)
    figures.tell("changes_of_what_is_signed", changed, f"of {rounds * len(CHANGES)}", nothing)
    return figures.leave()


def _draft(doctor: "Membership") -> "Report":
    from accounts.tenancy import clinic_scope
    from diagnosis.services.reports import report_create
    from tests.diagnosis.test_reports import readable_study

    study = readable_study(doctor)
    with clinic_scope(doctor.clinic_id):
        return report_create(actor=doctor.user, study=study)


def _sign(doctor: "Membership", report: "Report", barrier: Barrier) -> str:
    from django.db import connection

    from accounts.tenancy import clinic_scope
    from diagnosis.services.reports import report_sign
    from fracture_site.common.errors import DomainError

    try:
        connection.ensure_connection()
        barrier.wait(60)
        with clinic_scope(doctor.clinic_id):
            report_sign(actor=doctor.user, report=report)
    except DomainError as error:
        return error.code
    return "signed"


def _signatures(doctor: "Membership", report: "Report") -> tuple[int, int]:
    from accounts.models import AuditEvent
    from accounts.tenancy import clinic_scope

    with clinic_scope(doctor.clinic_id):
        events = AuditEvent.objects.filter(action="report.sign", target_id=report.pk)
        return report.versions.filter(status="signed").count(), events.count()


def _changes(doctor: "Membership", report: "Report") -> int:
    """Return how many statements of the application's role changed a signed version."""
    from django.db import Error, connection, transaction

    from accounts.tenancy import clinic_scope

    done = 0
    for statement in CHANGES:
        try:
            with clinic_scope(doctor.clinic_id), connection.cursor() as cursor:
                cursor.execute(statement, [report.pk] if "%s" in statement else None)
                done += 1
                transaction.set_rollback(True)
        except Error:
            continue
    return done


if __name__ == "__main__":
    sys.exit(main())
