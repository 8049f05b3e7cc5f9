"""Putting versions to use: shadow, active, back again. Each change has a reason and is logged.

All rows are locked in one order, so changes wait for each other; ``revision`` is the number of the
newest change that the person has seen, and a newer one refuses theirs. Workers ask for the active
versions with every image: a change acts on the next one, without restart.
"""

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models import ModelChange, ModelVersion
from diagnosis.selectors.model_versions import rollback_candidate
from diagnosis.services.model_coverage import coverage_of
from diagnosis.services.model_files import model_files_stored
from diagnosis.services.model_registry import (
    found,
    locked,
    move,
    reason_of,
    record,
    require_operator,
)
from diagnosis.services.model_versions import shipped_register
from fracture_site.common.errors import ConflictError, DomainError, RefusedInputError

Stage = ModelVersion.Stage
Kind = ModelChange.Kind


@transaction.atomic
def model_activate(
    *,
    actor: User | None,
    version: ModelVersion,
    reason: str,
    replace: bool = False,
    revision: int | None = None,
) -> ModelVersion:
    """Let a version read new images from now on; the active one of its name makes room.

    Args:
        actor: who asks; ``None`` for a command or a worker.
        version: the version.
        reason: why, for the log.
        replace: also put versions of other names out of use that cover the same images.
        revision: the newest change that the person has seen; ``None`` does not ask.

    Raises:
        ConflictError: ``model_coverage_overlaps``, ``model_is_active``, ``model_recalled``,
            ``model_registry_changed``.
        RefusedInputError: ``reason_required``, ``model_artifact_missing``.
        PermissionDenied: ``actor`` may not change models.
    """
    require_operator(actor)
    reason = reason_of(reason)
    rows = locked(revision)
    row = found(version, rows)
    others = [other for other in rows if other.pk != row.pk]
    if row.is_active:
        raise ConflictError("model_is_active", _("This version is active already."))
    _require_usable(row)
    rivals = [other for other in others if other.is_active and _overlap(row, other)]
    foreign = [other for other in rivals if other.name != row.name]
    if foreign and not replace:
        raise _overlaps(foreign)
    same_name = [other for other in others if other.is_active and other.name == row.name]
    replaced = list({other.pk: other for other in (*rivals, *same_name)}.values())
    move(replaced, Stage.REGISTERED)
    move([row], Stage.ACTIVE)
    record(actor, row, Kind.ACTIVATE, reason, replaced=[other.pk for other in replaced])
    return row


@transaction.atomic
def model_rollback(
    *, actor: User | None, reason: str, revision: int | None = None
) -> list[ModelVersion]:
    """Undo the newest activation that is not undone yet; returns the versions that are back.

    Raises:
        ConflictError: ``model_nothing_to_roll_back``, ``model_recalled``,
            ``model_coverage_overlaps``, ``model_registry_changed``.
        RefusedInputError: ``reason_required``, ``model_artifact_missing``.
        PermissionDenied: ``actor`` may not change models.
    """
    require_operator(actor)
    reason = reason_of(reason)
    rows = locked(revision)
    change = rollback_candidate()
    by_id = {row.pk: row for row in rows}
    leaving = by_id[change.model_version_id] if change else None
    if change is None or leaving is None or not change.replaced or not _in_use(leaving):
        raise ConflictError(
            "model_nothing_to_roll_back", _("There is no activation that could be undone.")
        )
    back = [by_id[pk] for pk in change.replaced]
    for row in back:
        _require_usable(row)
    staying = [row for row in rows if row.is_active and row.pk != leaving.pk]
    in_the_way = [s for s in staying if any(_overlap(s, row) for row in back)]
    if in_the_way:
        raise _overlaps(in_the_way)
    move([leaving], Stage.REGISTERED)
    move(back, Stage.ACTIVE)
    record(actor, leaving, Kind.ROLLBACK, reason, replaced=change.replaced, undoes=change)
    return back


@transaction.atomic
def model_shadow(
    *, actor: User | None, version: ModelVersion, on: bool, reason: str, revision: int | None = None
) -> ModelVersion:
    """Let a version read new images beside the active one, for comparison only; or end that.

    Raises:
        ConflictError: ``model_is_active``, ``model_recalled``, ``model_stage_unchanged``,
            ``model_registry_changed``.
        RefusedInputError: ``reason_required``, ``model_artifact_missing``.
        PermissionDenied: ``actor`` may not change models.
    """
    require_operator(actor)
    reason = reason_of(reason)
    row = found(version, locked(revision))
    if row.is_active:
        raise ConflictError("model_is_active", _("This version is active already."))
    if (row.stage == Stage.SHADOW) == on:
        raise ConflictError("model_stage_unchanged", _("Nothing to change."))
    if on:
        _require_usable(row)
    move([row], Stage.SHADOW if on else Stage.REGISTERED)
    record(actor, row, Kind.SHADOW if on else Kind.UNSHADOW, reason)
    return row


@transaction.atomic
def shipped_sync(*, activate: bool = False) -> ModelVersion:
    """Register the model that comes with the software; use it when nothing usable is in use.

    An upgrade of the software thereby never changes the model of a running clinic by itself;
    ``activate`` does, in place of whatever covers the same images.

    Raises:
        ModelArtifactError: it is missing or altered.
        ConflictError: ``model_version_changed``.
        OSError: storage does not answer.
    """
    row = shipped_register()
    rows = locked(None)
    row = found(row, rows)
    # Rows of before files were stored name weights that no worker can fetch any more.
    usable = any(other.is_active and model_files_stored(other) for other in rows)
    if not row.is_active and not row.is_recalled and (activate or not usable):
        model_activate(actor=None, version=row, reason="comes with the software", replace=True)
        row.refresh_from_db()
    return row


def _in_use(row: ModelVersion) -> bool:
    """A recall takes a version out of use; what it had replaced may still come back."""
    return row.is_active or row.is_recalled


def _require_usable(row: ModelVersion) -> None:
    if row.is_recalled:
        raise ConflictError("model_recalled", _("This version was recalled."))
    if not model_files_stored(row):
        raise RefusedInputError(
            "model_artifact_missing", _("The files of this version are not in storage.")
        )


def _overlap(one: ModelVersion, other: ModelVersion) -> bool:
    return coverage_of(one).overlaps(coverage_of(other))


def _overlaps(versions: Sequence[ModelVersion]) -> DomainError:
    names = ", ".join(str(version) for version in versions)
    return ConflictError(
        "model_coverage_overlaps",
        _("%(names)s reads the same images. Replace it, or narrow the coverage.")
        % {"names": names},
        extra={"versions": [str(version.pk) for version in versions]},
    )
