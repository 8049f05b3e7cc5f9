"""From a patient as another system names them to ours: found, registered, corrected, or refused."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from diagnosis.interop.orders import PersonTold
from diagnosis.models import Patient
from diagnosis.services.patients import (
    UNSET,
    patient_create,
    patient_kept,
    patient_merge,
    patient_update,
)
from fracture_site.common.errors import ConflictError, RefusedInputError

_LENGTHS = {"record_number": 64, "family_name": 100, "given_name": 100}


@transaction.atomic
def patient_of_order(*, actor: User, clinic_id: UUID, person: PersonTold) -> Patient:
    """Return whom an order is for, registered when new and corrected when it is surely the same.

    A record that was merged leads to the one that was kept, which stays as it is.

    Raises:
        ConflictError: ``patient_mismatch``: family name and birth date are both another's. That is
            how a wrong record number looks; a correction comes as an ADT message.
        RefusedInputError: ``family_name_missing``, ``too_long``, or as ``patient_create``.
    """
    row = _find(clinic_id, person)
    if row is None:
        return _register(actor, clinic_id, person)
    kept = patient_kept(row)
    if kept.pk != row.pk:
        return kept
    if _is_somebody_else(row, person):
        raise ConflictError(
            "patient_mismatch",
            _("This record number belongs to somebody of another name and birth date."),
        )
    return _correct(actor, row, person)


@transaction.atomic
def patient_told(
    *,
    actor: User,
    clinic_id: UUID,
    person: PersonTold,
    register: bool,
    written: datetime | None = None,
) -> tuple[Patient, bool]:
    """Take over what the master of patient data says; return the patient and whether it changed.

    What was written before the newest message that was applied comes late and changes nothing.

    Raises:
        RefusedInputError: ``patient_unknown`` when it may not be registered, or as
            ``patient_of_order``.
    """
    row = _find(clinic_id, person)
    if row is None and not register:
        raise RefusedInputError("patient_unknown", _("No patient has this record number."))
    if row is None:
        made = _register(actor, clinic_id, person)
        _note(made, written)
        return made, True
    kept = patient_kept(row)
    if kept.pk != row.pk:  # what is said of the record that was given up is not said of this one
        return kept, False
    if written and row.told_at and written < row.told_at:
        return row, False
    before = row.updated_at
    corrected = _correct(actor, row, person)
    changed = corrected.updated_at != before
    _note(corrected, written)
    return corrected, changed


@transaction.atomic
def patient_merge_told(
    *,
    actor: User,
    clinic_id: UUID,
    person: PersonTold,
    merged_number: str,
    written: datetime | None = None,
) -> tuple[Patient, bool]:
    """Merge the record with ``merged_number`` into the patient; a repetition changes nothing.

    Raises:
        ConflictError: ``merged_elsewhere``: that record was merged into somebody else's.
        RefusedInputError: ``patient_unknown``, ``same_patient``, or as ``patient_told``.
    """
    source = _find(clinic_id, PersonTold(record_number=merged_number))
    if source is None:
        raise RefusedInputError("patient_unknown", _("No patient has this record number."))
    target, _changed = patient_told(
        actor=actor, clinic_id=clinic_id, person=person, register=True, written=written
    )
    if source.merged_into_id is not None:
        if patient_kept(source).pk == target.pk:
            return target, False
        raise ConflictError(
            "merged_elsewhere", _("This record was merged into another patient before.")
        )
    return patient_merge(actor=actor, source=source, target=target), True


def _find(clinic_id: UUID, person: PersonTold) -> Patient | None:
    rows = Patient.objects.filter(clinic_id=clinic_id, record_number=person.record_number)
    return rows.select_related("merged_into").defer("search").first()


def _note(patient: Patient, written: datetime | None) -> None:
    if written is not None:
        Patient.objects.filter(pk=patient.pk).update(told_at=written)


def _register(actor: User, clinic_id: UUID, person: PersonTold) -> Patient:
    _check(person)
    values: dict[str, Any] = {
        "given_name": person.given_name or "",
        "birth_date": person.birth_date or None,
        "sex": person.sex or Patient.Sex.UNKNOWN,
    }
    try:
        return patient_create(
            actor=actor,
            clinic_id=clinic_id,
            record_number=person.record_number,
            family_name=person.family_name or "",
            **values,
        )
    except ConflictError as error:  # another message registered the same person meanwhile
        row = _find(clinic_id, person)
        if error.code != "record_number_taken" or row is None:
            raise
        return patient_kept(row)


def _correct(actor: User, row: Patient, person: PersonTold) -> Patient:
    _check(person)
    birth_date: Any = UNSET
    if person.birth_date is not None:
        birth_date = person.birth_date or None
    return patient_update(
        actor=actor,
        patient=row,
        family_name=person.family_name or None,
        given_name=person.given_name,
        birth_date=birth_date,
        sex=person.sex,
    )


def _is_somebody_else(row: Patient, person: PersonTold) -> bool:
    named = person.family_name and person.family_name.casefold() != row.family_name.casefold()
    born = person.birth_date and row.birth_date and person.birth_date != row.birth_date
    return bool(named and born)


def _check(person: PersonTold) -> None:
    for name, limit in _LENGTHS.items():
        if len(getattr(person, name) or "") > limit:
            raise RefusedInputError(
                "too_long",
                _("%(field)s is longer than %(limit)d characters.")
                % {"field": name, "limit": limit},
                extra={"field": name},
            )
