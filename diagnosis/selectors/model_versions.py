"""Reads of the registered models and their history; they hold nothing of a patient."""

from uuid import UUID

from django.db.models import Case, QuerySet, When

from diagnosis.models import ModelChange, ModelVersion
from diagnosis.selectors.lookup import get_or_404

_STAGES = ModelVersion.Stage


def model_version_list() -> QuerySet[ModelVersion]:
    """Return all registered models: active, shadow, the rest; newest first."""
    order = Case(When(stage=_STAGES.ACTIVE, then=0), When(stage=_STAGES.SHADOW, then=1), default=2)
    return ModelVersion.objects.order_by(order, "-created_at", "id")


def model_version_get(*, pk: UUID) -> ModelVersion:
    """Return one registered model.

    Raises:
        Http404: there is none.
    """
    return get_or_404(ModelVersion.objects.all(), pk)


def model_changes(version: ModelVersion | None = None) -> QuerySet[ModelChange]:
    """Return the log of changes, of one version or of all, newest first."""
    changes = ModelChange.objects.select_related("model_version", "actor")
    return changes.filter(model_version=version) if version else changes


def rollback_candidate() -> ModelChange | None:
    """Return the newest activation that is not undone: the one that a roll-back undoes."""
    changes = ModelChange.objects.filter(
        kind=ModelChange.Kind.ACTIVATE, undone_by__isnull=True
    ).select_related("model_version")
    return changes.order_by("-pk").first()
