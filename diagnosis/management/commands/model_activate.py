"""Let a registered model read new images."""

from argparse import ArgumentParser
from typing import Any

from diagnosis.management.model_command import ModelCommand, refusals_as_text
from diagnosis.services.model_stages import model_activate


class Command(ModelCommand):
    """Acts on the next image, without restart."""

    help = "Let a registered model read new images; old results keep the model that made them"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the reason and the switch for models of other names."""
        super().add_arguments(parser)
        self.add_reason(parser)
        parser.add_argument(
            "--replace",
            action="store_true",
            help="also put models of other names out of use that cover the same images",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Activate."""
        row = self.find(options["name"], options["model_version"])
        with refusals_as_text():
            model_activate(
                actor=None, version=row, reason=options["reason"], replace=options["replace"]
            )
        self.stdout.write(f"active: {row}")
