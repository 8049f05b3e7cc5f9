"""Recall a model: it reads no further image, its results are marked, its doctors are told."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from diagnosis.management.model_command import ModelCommand, refusals_as_text
from diagnosis.models import ModelChange
from diagnosis.services.model_recalls import model_recall, recall_mails_send


class Command(ModelCommand):
    """Run again for the same version, it sends the mails that were not sent."""

    help = "Take a model out of use for good, mark its results and reports, tell the doctors"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the reason."""
        super().add_arguments(parser)
        self.add_reason(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Recall, then mail."""
        row = self.find(options["name"], options["model_version"])
        if row.is_recalled:
            change = row.changes.get(kind=ModelChange.Kind.RECALL)
        else:
            with refusals_as_text():
                change = model_recall(actor=None, version=row, reason=options["reason"])
            self.stdout.write(f"recalled: {row}")
        sent, failed = recall_mails_send(change=change)
        self.stdout.write(f"mails sent: {sent}")
        if failed:
            raise CommandError(f"{failed} mails were not sent. Run this again when mail works.")
