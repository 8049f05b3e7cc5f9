"""Registering model artifacts: files into storage, one row that says what they are.

Registering changes nothing for any image; ``services.model_stages`` puts a version to use.
"""

from dataclasses import asdict
from typing import Any, Final

from django.db import transaction

from accounts.audit import audit_record
from accounts.models import User
from diagnosis.inference import ModelPackage, read_package, shipped_folder
from diagnosis.models import ModelChange, ModelVersion
from diagnosis.services.model_coverage import Coverage, coverage_of, coverage_of_manifest
from diagnosis.services.model_files import model_files_store, model_files_stored
from fracture_site.common.errors import ConflictError

CARD_MAX: Final = 200_000
# What a manifest says for people to read; all the rest decides what the model answers.
_FOR_READERS: Final = frozenset({"metrics", "training", "parity", "bytes", "conversion"})


class ModelChangedError(ConflictError):
    """A registered name and version came back with other weights, calibration or thresholds."""

    def __init__(self) -> None:
        super().__init__("model_version_changed")


def model_register(
    *, package: ModelPackage, card: str = "", actor: User | None = None
) -> ModelVersion:
    """Store the package's files and return its row, made when new; safe to repeat and to race.

    The caller has tried the package out (``services.model_trials``) unless it came with the
    software. ``actor`` is ``None`` for commands and workers.

    Raises:
        ModelChangedError: this name and version is registered with other weights, calibration,
            thresholds or coverage; a stored result would no longer say what made it.
        RefusedInputError: ``model_coverage_invalid``.
        ModelArtifactError: a file changed while it was stored.
        OSError: storage did not take a file.
    """
    coverage = coverage_of_manifest(package.manifest)
    model_files_store(package)
    return _row(package, coverage, card[:CARD_MAX], actor)


@transaction.atomic
def _row(package: ModelPackage, coverage: Coverage, card: str, actor: User | None) -> ModelVersion:
    identity = {key: value for key, value in asdict(package.identity).items() if key != "metrics"}
    name, version = identity.pop("name"), identity.pop("version")
    described = {"manifest": package.manifest, "card": card, **_columns(coverage)}
    row, created = ModelVersion.objects.select_for_update(no_key=True).get_or_create(
        name=name, version=version, defaults={**identity, **described}
    )
    if created:
        ModelChange.objects.create(model_version=row, kind=ModelChange.Kind.REGISTER, actor=actor)
        audit_record(actor=actor, action="model.register", clinic_id=None, target=row)
        return row
    if any(getattr(row, key) != value for key, value in identity.items()):
        raise ModelChangedError
    if "file" not in row.manifest:  # registered before files were stored
        ModelVersion.objects.filter(pk=row.pk).update(**described)
        row.refresh_from_db()
    if coverage_of(row) != coverage or _decisive(row.manifest) != _decisive(package.manifest):
        raise ModelChangedError
    return row


def shipped_register() -> ModelVersion:
    """Register the model that comes with the software.

    Raises:
        ModelArtifactError: it is missing or altered.
        ModelChangedError: see ``model_register``.
        OSError: storage did not take a file.
    """
    folder = shipped_folder()
    card = folder / "MODEL_CARD.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    return model_register(package=read_package(folder), card=text)


def models_in_order() -> bool:
    """Tell whether some version is active and the files of all active ones are stored.

    Raises:
        OSError: the store does not answer.
    """
    active = list(ModelVersion.objects.filter(stage=ModelVersion.Stage.ACTIVE))
    return bool(active) and all(model_files_stored(version) for version in active)


def _columns(coverage: Coverage) -> dict[str, Any]:
    return {
        "modalities": sorted(coverage.modalities),
        "body_regions": sorted(coverage.body_regions),
        "age_min": coverage.age_min,
        "age_max": coverage.age_max,
    }


def _decisive(manifest: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in manifest.items() if key not in _FOR_READERS}
