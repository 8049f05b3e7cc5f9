"""Register programs that may read FHIR (SMART), replace their keys, stop them."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Membership, User
from accounts.services.smart import (
    smart_app_create,
    smart_app_keys,
    smart_app_stop,
    smart_service_create,
)
from accounts.smart_models import SmartApp
from fracture_site.common.errors import DomainError


class Command(BaseCommand):
    """Prints the client id; the operator is named for the audit trail."""

    help = (
        "Register a SMART app (--redirect-uri) or a backend service (--clinic, --member, --scope); "
        "with --jwks it proves itself by its key. --stop and --new-keys change one that is there."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add who registers what."""
        parser.add_argument("--operator", required=True, help="e-mail of a site administrator")
        parser.add_argument("--name", default="", help="as members read it")
        parser.add_argument("--redirect-uri", action="append", default=[], help="repeatable")
        parser.add_argument("--jwks", type=Path, help="file with the public keys (JWKS)")
        parser.add_argument("--clinic", help="of a backend service: name of the clinic it reads")
        parser.add_argument("--member", help="of a backend service: e-mail whose rights it gets")
        parser.add_argument("--scope", action="append", default=[], help="system/…; repeatable")
        parser.add_argument("--stop", metavar="CLIENT_ID", help="let it in no more")
        parser.add_argument("--new-keys", metavar="CLIENT_ID", help="replace its keys by --jwks")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what was asked."""
        operator = User.objects.filter(email=options["operator"].lower()).first()
        if operator is None:
            raise CommandError("There is no such site administrator.")
        try:
            app = self._done(operator, options)
        except DomainError as error:
            raise CommandError(f"{error.code}: {error.detail}") from error
        self.stdout.write(str(app.pk))

    def _done(self, operator: User, options: dict[str, Any]) -> SmartApp:
        jwks = _keys(options.get("jwks"))
        if options.get("stop"):
            app = _app(options["stop"])
            smart_app_stop(actor=operator, app=app)
            return app
        if options.get("new_keys"):
            app = _app(options["new_keys"])
            smart_app_keys(actor=operator, app=app, jwks=jwks or {})
            return app
        if options.get("member"):
            return smart_service_create(
                actor=operator,
                name=options["name"],
                jwks=jwks or {},
                membership=_member(options["member"], options.get("clinic") or ""),
                scopes=options["scope"],
            )
        return smart_app_create(
            actor=operator,
            name=options["name"],
            redirect_uris=options["redirect_uri"],
            jwks=jwks,
        )


def _keys(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError("The file of keys cannot be read, or is no JSON.") from error


def _app(pk: str) -> SmartApp:
    found = [app for app in SmartApp.objects.all() if str(app.pk) == pk]
    if not found:
        raise CommandError("There is no such app.")
    return found[0]


def _member(email: str, clinic: str) -> Membership:
    members = Membership.objects.filter(user__email=email.lower(), clinic__name=clinic)
    member = members.select_related("user", "clinic").first()
    if member is None:
        raise CommandError("This person is no member of the clinic.")
    return member
