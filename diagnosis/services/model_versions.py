"""Registering model artifacts; the active one is the one in ``ML_MODEL_DIR``.

Workers load what lies there, so nothing else may be called active: another model is put there,
then ``manage.py model_sync`` runs and the workers start again.
"""

from django.db import transaction

from accounts.audit import audit_record
from diagnosis.inference import ModelIdentity
from diagnosis.models import ModelVersion
from fracture_site.common.errors import ConflictError


class ModelChangedError(ConflictError):
    """A registered name and version came back with other weights, calibration or thresholds."""

    def __init__(self) -> None:
        super().__init__("model_version_changed")


@transaction.atomic
def model_version_register(*, model: ModelIdentity, activate: bool = False) -> ModelVersion:
    """Return the row of an artifact, made when it is new; safe to repeat and to race.

    Raises:
        ModelChangedError: this name and version is registered with other
            weights, calibration or thresholds; a stored result would no longer say what made it.
    """
    identity = {
        "sha256": model.sha256,
        "preprocessing_version": model.preprocessing_version,
        "calibration_id": model.calibration_id,
        "threshold_suspicion": model.threshold_suspicion,
        "threshold_definite": model.threshold_definite,
    }
    row, created = ModelVersion.objects.get_or_create(
        name=model.name,
        version=model.version,
        defaults={**identity, "manifest": {"metrics": model.metrics}},
    )
    if any(getattr(row, name) != value for name, value in identity.items()):
        raise ModelChangedError
    if created:
        audit_record(actor=None, action="model.register", clinic_id=None, target=row)
    if activate and not row.is_active:
        _activate(row)
    return row


def _activate(row: ModelVersion) -> None:
    # All rows are locked in one order, so that two activations wait for each other.
    list(ModelVersion.objects.select_for_update().order_by("pk"))
    ModelVersion.objects.filter(is_active=True).update(is_active=False)
    ModelVersion.objects.filter(pk=row.pk).update(is_active=True)
    row.is_active = True
    audit_record(actor=None, action="model.activate", clinic_id=None, target=row)
