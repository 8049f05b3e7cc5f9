"""Every write of patients: registration, corrections, merging of duplicates and its undoing."""

from datetime import date
from enum import Enum
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import Patient, Study
from diagnosis.services.search_index import merged_descendants, patient_reindex
from diagnosis.services.violations import save_with_own_number
from fracture_site.common.errors import ConflictError, RefusedInputError


class Unset(Enum):
    """Tells "leave it as it is" from "make it empty"."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@transaction.atomic
def patient_create(
    *,
    actor: User,
    clinic_id: UUID,
    record_number: str,
    family_name: str,
    given_name: str = "",
    birth_date: date | None = None,
    sex: str = Patient.Sex.UNKNOWN,
) -> Patient:
    """Register a person under the clinic's record number.

    Raises:
        ConflictError: ``record_number_taken``; ``extra["patient"]`` is who has it.
        RefusedInputError: ``record_number_missing``, ``family_name_missing``,
            ``birth_date_in_future`` or ``sex_unknown``.
    """
    require(user=actor, action=Action.PATIENT_EDIT, clinic_id=clinic_id)
    patient = Patient(
        clinic_id=clinic_id,
        record_number=record_number.strip(),
        family_name=family_name.strip(),
        given_name=given_name.strip(),
        birth_date=birth_date,
        sex=sex,
    )
    _check(patient)
    _save(patient)
    patient_reindex(patient)
    audit_record(
        actor=actor,
        action="patient.create",
        clinic_id=clinic_id,
        target=patient,
        patient_id=patient.pk,
    )
    return patient


@transaction.atomic
def patient_update(
    *,
    actor: User,
    patient: Patient,
    record_number: str | None = None,
    family_name: str | None = None,
    given_name: str | None = None,
    birth_date: date | Unset | None = UNSET,
    sex: str | None = None,
) -> Patient:
    """Correct a person's details; what is left out stays, ``birth_date=None`` empties it.

    Raises:
        ConflictError: ``record_number_taken`` or ``patient_merged``.
        RefusedInputError: as ``patient_create``.
    """
    require(user=actor, action=Action.PATIENT_EDIT, clinic_id=patient.clinic_id)
    locked = patient_locked(patient)
    texts = {"record_number": record_number, "family_name": family_name, "given_name": given_name}
    values: dict[str, str | date | None] = {
        name: text.strip() for name, text in texts.items() if text is not None
    }
    if sex is not None:
        values["sex"] = sex
    if not isinstance(birth_date, Unset):
        values["birth_date"] = birth_date
    changed = [name for name, value in values.items() if getattr(locked, name) != value]
    if not changed:
        return locked
    for name in changed:
        setattr(locked, name, values[name])
    _check(locked)
    _save(locked, [*changed, "updated_at"])
    patient_reindex(locked)
    audit_record(
        actor=actor,
        action="patient.update",
        clinic_id=locked.clinic_id,
        target=locked,
        patient_id=locked.pk,
        fields=changed,
    )
    return locked


@transaction.atomic
def patient_merge(*, actor: User, source: Patient, target: Patient) -> Patient:
    """Give all studies of ``source`` to ``target``, which is the same person; return ``target``.

    Each study remembers whose it was, so that ``patient_unmerge`` can give it
    back. Signed reports stay as they are printed.

    Raises:
        ConflictError: ``patient_merged`` when one of them is merged already (which also
            keeps circles out).
        RefusedInputError: ``same_patient``.
    """
    require(user=actor, action=Action.PATIENT_MERGE, clinic_id=source.clinic_id)
    if source.pk == target.pk:
        raise RefusedInputError("same_patient", _("Choose two different patients."))
    if source.clinic_id != target.clinic_id:
        raise Http404
    _merges_take_turns(source.clinic_id)
    rows = {row.pk: row for row in _locked([source.pk, target.pk])}
    kept, merged = _unmerged(rows[target.pk]), _unmerged(rows[source.pk])
    studies = list(Study.objects.filter(patient=merged).values_list("pk", flat=True))
    Study.objects.filter(patient=merged, merged_from__isnull=True).update(merged_from=merged)
    Study.objects.filter(patient=merged).update(patient=kept, updated_at=timezone.now())
    merged.merged_into = kept
    merged.save(update_fields=["merged_into", "updated_at"])
    patient_reindex(kept)
    _audit_merge(actor, "patient.merge", merged, kept, studies)
    return kept


@transaction.atomic
def patient_unmerge(*, actor: User, patient: Patient) -> Patient:
    """Undo a merge: ``patient`` gets back the studies that came from it.

    Studies made or moved by hand after the merge stay where they are.

    Raises:
        ConflictError: ``patient_not_merged``.
    """
    require(user=actor, action=Action.PATIENT_MERGE, clinic_id=patient.clinic_id)
    _merges_take_turns(patient.clinic_id)
    [merged] = _locked([patient.pk])
    if merged.merged_into_id is None:
        raise ConflictError("patient_not_merged", _("This patient is not merged."))
    [holder] = _locked([patient_kept(merged).pk])
    family = [merged.pk, *(row.pk for row in merged_descendants(merged))]
    returning = Study.objects.filter(patient=holder, merged_from__in=family)
    studies = list(returning.values_list("pk", flat=True))
    Study.objects.filter(pk__in=studies).update(patient=merged, updated_at=timezone.now())
    Study.objects.filter(pk__in=studies, merged_from=F("patient")).update(merged_from=None)
    merged.merged_into = None
    merged.save(update_fields=["merged_into", "updated_at"])
    patient_reindex(holder)
    patient_reindex(merged)
    _audit_merge(actor, "patient.unmerge", merged, holder, studies)
    return merged


def patient_locked(patient: Patient) -> Patient:
    """Return the present row of an unmerged patient, locked until the transaction ends.

    The lock lets foreign keys pass, so reading and uploading go on meanwhile.

    Raises:
        ConflictError: ``patient_merged``.
        Http404: not of the current clinic.
    """
    found = _locked([patient.pk])
    if not found:
        raise Http404
    return _unmerged(found[0])


def patient_kept(patient: Patient) -> Patient:
    """Return who holds the studies of a merged patient; an unmerged one is its own."""
    while patient.merged_into is not None:
        patient = patient.merged_into
    return patient


def _locked(pks: list[UUID]) -> list[Patient]:
    rows = Patient.objects.select_for_update(no_key=True).filter(pk__in=pks)
    found = rows.defer("search").order_by("pk")  # one order: no deadlock
    return [patient for patient in found if patient.erased_at is None]


def _unmerged(patient: Patient) -> Patient:
    if patient.merged_into_id is None:
        return patient
    raise ConflictError(
        "patient_merged",
        _("This patient was merged into another one. Use that one."),
        extra={"patient": str(patient_kept(patient).pk)},
    )


def _merges_take_turns(clinic_id: UUID) -> None:
    """Hold one merge at a time in a clinic: chains of merges are read and written whole."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"merge/{clinic_id}"]
        )


def _check(patient: Patient) -> None:
    for name, code in (
        ("record_number", "record_number_missing"),
        ("family_name", "family_name_missing"),
    ):
        if not getattr(patient, name):
            required = _("This field is required.")
            raise RefusedInputError(code, required, fields={name: required})
    if patient.birth_date and patient.birth_date > timezone.localdate():
        future = _("The birth date is in the future.")
        raise RefusedInputError("birth_date_in_future", future, fields={"birth_date": future})
    if patient.sex not in Patient.Sex.values:
        unknown = _("Choose one of the listed values.")
        raise RefusedInputError("sex_unknown", unknown, fields={"sex": unknown})


def _save(patient: Patient, update_fields: list[str] | None = None) -> None:
    taken = _("Another patient has this record number.")
    save_with_own_number(patient, update_fields, number="record_number", taken=taken)


def _audit_merge(
    actor: User, action: str, merged: Patient, kept: Patient, studies: list[UUID]
) -> None:
    """Record the change in the trail of both patients."""
    for patient in (merged, kept):
        audit_record(
            actor=actor,
            action=action,
            clinic_id=merged.clinic_id,
            target=merged,
            patient_id=patient.pk,
            merged=str(merged.pk),
            kept=str(kept.pk),
            studies=[str(pk) for pk in studies],
        )
