"""Register the model that comes with the software; use it when no other is in use."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnosis.inference import ModelArtifactError
from diagnosis.services.model_stages import shipped_sync
from fracture_site.common.errors import ConflictError


class Command(BaseCommand):
    """Safe to run again; start scripts run it before the first worker."""

    help = "Register the model in ML_MODEL_DIR, after checking its sha256; activate it if none is"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the switch that replaces what is in use."""
        parser.add_argument(
            "--activate", action="store_true", help="Use it in place of the model in use"
        )

    def handle(self, *_args: Any, activate: bool, **_options: Any) -> None:
        """Check, register, activate."""
        try:
            row = shipped_sync(activate=activate)
        except ModelArtifactError as error:
            raise CommandError(f"The model in ML_MODEL_DIR cannot be used: {error}") from error
        except ConflictError as error:
            raise CommandError(
                "This name and version is registered with other weights. Results name the "
                "version that made them: give the new weights a new version in manifest.json."
            ) from error
        except OSError as error:
            raise CommandError("The object storage does not answer. Try again.") from error
        state = "active" if row.is_active else "registered, another one is active"
        self.stdout.write(f"{state} model: {row} (sha256 {row.sha256[:12]}…)")
