"""Objects that no row names: what uploads that were rolled back leave in the store."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.audit import audit_record
from accounts.models import Clinic
from accounts.tenancy import clinic_scope
from diagnosis.models import (
    Analysis,
    ClinicOwnedModel,
    PatientExport,
    ReportVersion,
    ResumableUpload,
    StudyImage,
    StudyKeyImage,
)
from diagnosis.storage import object_delete, object_list

# An object is stored before its row commits: a young one may still get its row.
SETTLED_AFTER: Final = timedelta(days=1)
# Which rows name which kinds of objects; other kinds are never collected.
_NAMED_BY: Final[dict[type[ClinicOwnedModel], tuple[str, ...]]] = {
    StudyImage: ("originals", "served", "renditions", "thumbnails"),
    Analysis: ("heatmaps",),
    ReportVersion: ("reports",),
    StudyKeyImage: ("keyimages",),
    ResumableUpload: ("parts",),
    PatientExport: ("exports",),
}


def orphans_find(*, settled_after: timedelta = SETTLED_AFTER) -> list[str]:
    """Return the keys of settled objects that no row of any clinic names.

    Raises:
        StorageError: the store does not answer.
    """
    before = timezone.now() - settled_after
    kinds = [kind for names in _NAMED_BY.values() for kind in names]
    stored = {key for kind in kinds for key, written in object_list(kind) if written < before}
    for clinic in Clinic.objects.all():
        with clinic_scope(clinic.pk):
            stored.difference_update(_named())
    return sorted(stored)


def orphans_delete(keys: Iterable[str]) -> int:
    """Delete what ``orphans_find`` has found and return how many; one gone already is fine.

    Raises:
        StorageError: the store does not answer; the next run goes on.
    """
    count = 0
    for key in keys:
        object_delete(key)
        count += 1
    if count:
        audit_record(actor=None, action="storage.collect", clinic_id=None, count=count)
    return count


def _named() -> Iterator[str]:
    """Yield every key that the current clinic's rows name."""
    for model in _NAMED_BY:
        names = [field.name for field in model._meta.concrete_fields if _holds_keys(field)]
        for values in model.objects.values_list(*names).iterator():
            for value in values:
                yield from value if isinstance(value, list) else [value]


def _holds_keys(field: "models.Field[object, object]") -> bool:
    """Recognise key columns by name, so that a new one is not forgotten."""
    return field.name.endswith(("_key", "_keys")) and isinstance(
        field, models.CharField | ArrayField
    )
