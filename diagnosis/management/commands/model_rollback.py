"""Undo the newest activation of a model."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from diagnosis.management.model_command import refusals_as_text
from diagnosis.services.model_stages import model_rollback


class Command(BaseCommand):
    """Acts on the next image, without restart."""

    help = "Undo the newest activation: what it replaced reads new images again"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the reason."""
        parser.add_argument("--reason", required=True, help="why; it is logged")

    def handle(self, *_args: Any, reason: str, **_options: Any) -> None:
        """Roll back."""
        with refusals_as_text():
            back = model_rollback(actor=None, reason=reason)
        self.stdout.write("active again: " + ", ".join(str(row) for row in back))
