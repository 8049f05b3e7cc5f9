"""Let a registered model read new images beside the active one, or end that."""

from argparse import ArgumentParser
from typing import Any

from diagnosis.management.model_command import ModelCommand, refusals_as_text
from diagnosis.services.model_stages import model_shadow


class Command(ModelCommand):
    """Its results are compared and never shown to doctors."""

    help = "Let a model read new images in shadow, for comparison only; --stop ends that"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the reason and the switch that ends it."""
        super().add_arguments(parser)
        self.add_reason(parser)
        parser.add_argument("--stop", action="store_true", help="end the shadow")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Start or end the shadow."""
        row = self.find(options["name"], options["model_version"])
        with refusals_as_text():
            model_shadow(actor=None, version=row, on=not options["stop"], reason=options["reason"])
        self.stdout.write(f"{'no longer in' if options['stop'] else 'in'} shadow: {row}")
