"""Check the audit trail: every event as it was written, none missing, none added, none cut off."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from diagnosis.services.audit_anchors import (
    AnchorsUnreadableError,
    Verified,
    trail_verify,
    verification_record,
)


class Command(BaseCommand):
    """Exit code 1: a chain is broken; 2: the heads kept outside cannot be read."""

    help = "Check the audit trail of all clinics, or of one, against the heads kept outside"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--clinic", type=UUID, help="Only this clinic's chain")

    def handle(self, *_args: Any, **options: Any) -> None:
        clinic = options["clinic"]
        results = []
        try:
            for entry in trail_verify(clinic_id=clinic, all_chains=clinic is None):
                results.append(entry)
                self.stdout.write(_line(entry))
        except AnchorsUnreadableError as error:
            raise CommandError(
                "The heads of the chains (object store, AUDIT_ANCHOR_FILE) cannot be read; "
                "nothing can be said about the trail.",
                returncode=2,
            ) from error
        verification_record(results)
        broken = sum(1 for entry in results if entry.report.flaw)
        if broken:
            raise CommandError(
                f"{broken} of {len(results)} chains are broken. Keep the database as it is and "
                "follow docs/runbooks/audit-trail.md."
            )


def _line(entry: Verified) -> str:
    report, flaw = entry.report, entry.report.flaw
    name = f"clinic {entry.clinic_id}" if entry.clinic_id else "events without a clinic"
    if flaw:
        where = "" if flaw.place is None else f" at place {flaw.place}"
        event = "" if flaw.event_id is None else f", event {flaw.event_id}"
        return f"{name}: BROKEN, {flaw.code}{where}{event}"
    return (
        f"{name}: whole, {report.sealed} sealed, {entry.covered} of them covered by a head "
        f"outside, {report.waiting} waiting"
    )
