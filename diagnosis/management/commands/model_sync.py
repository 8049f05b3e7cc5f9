"""Register the model artifact of ``ML_MODEL_DIR`` and make it the active one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnosis.inference import ModelArtifactError, shipped_model
from diagnosis.services.model_versions import model_version_register
from fracture_site.common.errors import ConflictError


class Command(BaseCommand):
    """Safe to run again; start scripts run it before the first worker."""

    help = "Register and activate the model in ML_MODEL_DIR, after checking its sha256"

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Check, register, activate."""
        try:
            row = model_version_register(model=shipped_model(), activate=True)
        except ModelArtifactError as error:
            raise CommandError(f"The model in ML_MODEL_DIR cannot be used: {error}") from error
        except ConflictError as error:
            raise CommandError(
                "This name and version is registered with other weights. Results name the "
                "version that made them: give the new weights a new version in manifest.json."
            ) from error
        self.stdout.write(f"active model: {row.name} {row.version} (sha256 {row.sha256[:12]}…)")
