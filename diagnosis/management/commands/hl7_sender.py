"""Let a hospital's system send HL7 messages to a clinic, list who may, and stop one."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Clinic, Membership, User
from accounts.tenancy import clinic_scope
from diagnosis.models import Hl7Sender
from diagnosis.services.hl7_senders import hl7_sender_create, hl7_sender_stop
from fracture_site.common.errors import DomainError


class Command(BaseCommand):
    """``add``, ``list`` and ``stop``; the operator names themselves for the audit trail."""

    help = "Manage the systems that may send HL7 v2 messages"

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="let a system send to a member's clinic")
        add.add_argument("--operator", required=True, help="e-mail of a site administrator")
        add.add_argument("--clinic", required=True, help="name of the clinic")
        add.add_argument("--member", required=True, help="e-mail whose rights the system gets")
        add.add_argument("--application", required=True, help="MSH-3")
        add.add_argument("--facility", default="", help="MSH-4")
        add.add_argument("--name", default="", help="for people; default: the application")
        add.add_argument("--network", action="append", default=[], help="192.0.2.0/24, repeatable")
        add.add_argument("--certificate-sha256", default="", help="of the client certificate")
        add.add_argument("--authority", default="", help="PID-3.4 of the clinic's record numbers")
        add.add_argument("--character-set", default="", help="when MSH-18 is empty: 8859/1, …")
        add.add_argument("--procedures", type=Path, help="JSON file: code to body_part and side")
        shown = actions.add_parser("list", help="show who may send to a clinic")
        shown.add_argument("--clinic", required=True)
        stop = actions.add_parser("stop", help="take no more messages from a system")
        stop.add_argument("--operator", required=True)
        stop.add_argument("--clinic", required=True)
        stop.add_argument("id")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked."""
        try:
            clinic = Clinic.objects.get(name=options["clinic"])
        except (Clinic.DoesNotExist, Clinic.MultipleObjectsReturned) as error:
            raise CommandError("No clinic, or more than one, has this name.") from error
        try:
            getattr(self, f"_{options['action']}")(clinic, options)
        except DomainError as error:
            raise CommandError(f"{error.code}: {error.detail}") from error

    def _add(self, clinic: Clinic, options: dict[str, Any]) -> None:
        member = Membership.objects.filter(clinic=clinic, user__email=options["member"]).first()
        if member is None:
            raise CommandError("This person is no member of the clinic.")
        procedures = {}
        if options["procedures"]:
            procedures = json.loads(options["procedures"].read_text(encoding="utf-8"))
        sender = hl7_sender_create(
            actor=_operator(options["operator"]),
            membership=member,
            name=options["name"],
            sending_application=options["application"],
            sending_facility=options["facility"],
            networks=options["network"],
            certificate_sha256=options["certificate_sha256"],
            assigning_authority=options["authority"],
            character_set=options["character_set"],
            procedures=procedures,
        )
        self.stdout.write(f"{sender.pk}")

    def _list(self, clinic: Clinic, _options: dict[str, Any]) -> None:
        with clinic_scope(clinic.pk):
            for row in Hl7Sender.objects.select_related("membership__user").order_by("name"):
                state = "active" if row.is_active else "stopped"
                parties = f"{row.sending_application}|{row.sending_facility}"
                seen_by = ", ".join([*row.networks, row.certificate_sha256[:16]]).strip(", ")
                self.stdout.write(
                    f"{row.pk}  {state}  {parties}  {seen_by}  as {row.membership.user.email}"
                )

    def _stop(self, clinic: Clinic, options: dict[str, Any]) -> None:
        hl7_sender_stop(
            actor=_operator(options["operator"]), clinic_id=clinic.pk, sender_id=options["id"]
        )


def _operator(email: str) -> User:
    user = User.objects.filter(email=email.lower()).first()
    if user is None:
        raise CommandError("There is no such site administrator.")
    return user
