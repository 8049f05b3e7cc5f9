"""What every change of a registered model shares: who may, why, one at a time, written down."""

from collections.abc import Sequence
from typing import Final

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.models import User
from diagnosis.models import ModelChange, ModelVersion
from fracture_site.common.errors import ConflictError, RefusedInputError

RIGHT: Final = "diagnosis.change_modelversion"
REASON_MAX: Final = 500


def may_operate(user: User) -> bool:
    """Tell whether the person may change models: staff of the site with that right."""
    return user.is_active and user.is_staff and user.has_perm(RIGHT)


def model_revision() -> int:
    """Return the number of the newest change, 0 before the first."""
    return ModelChange.objects.values_list("pk", flat=True).first() or 0


def require_operator(actor: User | None) -> None:
    """Return silently for a command or a worker (``None``) and for who may change models.

    Raises:
        PermissionDenied: anybody else.
    """
    if actor is not None and not may_operate(actor):
        raise PermissionDenied


def reason_of(text: str) -> str:
    """Return the reason in one line, cut to what the log holds.

    Raises:
        RefusedInputError: ``reason_required``.
    """
    text = " ".join(text.split())
    if not text:
        raise RefusedInputError("reason_required", _("Say why, for the log."))
    return text[:REASON_MAX]


def locked(revision: int | None) -> list[ModelVersion]:
    """Lock all versions and return them.

    Raises:
        ConflictError: ``model_registry_changed``.
    """
    rows = list(ModelVersion.objects.select_for_update().order_by("pk"))
    if revision is not None and revision != model_revision():
        raise ConflictError(
            "model_registry_changed",
            _("Somebody changed the models meanwhile. Look at the page again, then decide."),
        )
    return rows


def found(version: ModelVersion, rows: Sequence[ModelVersion]) -> ModelVersion:
    """Return the locked row of a version."""
    return next(row for row in rows if row.pk == version.pk)


def move(rows: Sequence[ModelVersion], stage: str) -> None:
    """Give locked rows another part."""
    ModelVersion.objects.filter(pk__in=[row.pk for row in rows]).update(stage=stage)
    for row in rows:
        row.stage = stage


def record(
    actor: User | None,
    row: ModelVersion,
    kind: str,
    reason: str,
    *,
    replaced: Sequence[object] = (),
    undoes: ModelChange | None = None,
) -> ModelChange:
    """Write a change to the log and to the audit trail."""
    change = ModelChange.objects.create(
        model_version=row,
        kind=kind,
        reason=reason,
        replaced=list(replaced),
        undoes=undoes,
        actor=actor,
    )
    audit_record(
        actor=actor,
        action=f"model.{kind}",
        clinic_id=None,
        target=row,
        replaced=[str(pk) for pk in replaced],
    )
    return change
