"""Register a SMART app that members may let read FHIR."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from accounts.services.smart import smart_app_create
from fracture_site.common.errors import DomainError


class Command(BaseCommand):
    """Prints the client id; the operator is named for the audit trail."""

    help = "Register a SMART app (a public client) with its exact redirect addresses"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add who registers what."""
        parser.add_argument("--operator", required=True, help="e-mail of a site administrator")
        parser.add_argument("--name", required=True, help="as members read it")
        parser.add_argument("--redirect-uri", action="append", required=True, help="repeatable")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Register it."""
        operator = User.objects.filter(email=options["operator"].lower()).first()
        if operator is None:
            raise CommandError("There is no such site administrator.")
        try:
            app = smart_app_create(
                actor=operator, name=options["name"], redirect_uris=options["redirect_uri"]
            )
        except DomainError as error:
            raise CommandError(f"{error.code}: {error.detail}") from error
        self.stdout.write(str(app.pk))
