"""Every write of orders: placing, changing and cancelling what an outside system asked for."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.interop.orders import OrderTold
from diagnosis.models import Order, Patient, Study
from diagnosis.services.patients import patient_kept
from diagnosis.services.studies import study_create, study_locked, study_update
from fracture_site.common.errors import ConflictError, RefusedInputError

_OWN_FIELDS = (
    "procedure_code",
    "procedure_system",
    "procedure_text",
    "modality",
    "station_ae_title",
    "scheduled_at",
    "requester_name",
)
_STUDY_FIELDS = ("clinical_question", "body_part", "side", "priority", "accession_number")
_LENGTHS = {
    "source": 200, "placer_number": 64, "accession_number": 64, "study_instance_uid": 64,
    "procedure_code": 64, "procedure_system": 100, "procedure_text": 200, "modality": 16,
    "station_ae_title": 16, "requester_name": 120, "clinical_question": 2000,
}  # fmt: skip
_UID_LETTERS = frozenset("0123456789.")


class Effect(StrEnum):
    """What an order did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"  # a newer message had been applied before


@transaction.atomic
def order_place(
    *, actor: User, clinic_id: UUID, patient: Patient, told: OrderTold
) -> tuple[Order, Effect]:
    """Make or change the order with this number, and the study it is for.

    The study is the one of the order; else the clinic's with the same accession number or Study
    Instance UID, when it is of this patient; else a new one. Without an accession number the
    study gets one of ours. What is not told stays as it is.

    Raises:
        ConflictError: ``order_of_other_patient``, ``order_cancelled``,
            ``accession_of_other_patient``, ``study_uid_of_other_patient``, ``patient_merged``.
        RefusedInputError: ``order_number_missing``, ``too_long`` (``extra["field"]``),
            ``study_uid_malformed``, or as ``study_create``.
    """
    require(user=actor, action=Action.STUDY_EDIT, clinic_id=clinic_id)
    _check(told)
    _one_at_a_time(clinic_id, told)
    order = _find(clinic_id, told)
    if order is None:
        return _created(actor, clinic_id, patient, told), Effect.CREATED
    if order.study.patient_id != patient_kept(patient).pk:
        raise ConflictError(
            "order_of_other_patient", _("This order number belongs to another patient's order.")
        )
    if told.told_at < order.told_at:
        return order, Effect.SUPERSEDED
    if order.status == Order.Status.CANCELLED:
        raise ConflictError(
            "order_cancelled", _("This order was cancelled. Place a new one with a new number.")
        )
    return _changed(actor, order, told)


@transaction.atomic
def order_cancel(*, actor: User, clinic_id: UUID, told: OrderTold) -> tuple[Order, Effect]:
    """Take an order back; its empty study stays and leaves the modality worklist.

    Raises:
        ConflictError: ``order_has_images``: what was examined cannot be taken back.
        RefusedInputError: ``order_unknown``, ``order_number_missing`` or ``too_long``.
    """
    require(user=actor, action=Action.STUDY_EDIT, clinic_id=clinic_id)
    _check(told)
    _one_at_a_time(clinic_id, told)
    order = _find(clinic_id, told)
    if order is None:
        raise RefusedInputError("order_unknown", _("There is no order with this number."))
    if order.status == Order.Status.CANCELLED:
        return order, Effect.UNCHANGED
    if told.told_at < order.told_at:
        return order, Effect.SUPERSEDED
    study = study_locked(order.study)  # uploads wait, or came before
    if study.images.exists():
        raise ConflictError(
            "order_has_images", _("Images were taken for this order; it cannot be cancelled.")
        )
    order.status, order.told_at = Order.Status.CANCELLED, told.told_at
    order.save(update_fields=["status", "told_at", "updated_at"])
    _audit(actor, "order.cancel", order)
    return order, Effect.UPDATED


def _find(clinic_id: UUID, told: OrderTold) -> Order | None:
    orders = Order.objects.filter(
        clinic_id=clinic_id, source=told.source, placer_number=told.placer_number
    )
    return orders.select_related("study__patient").first()


def _created(actor: User, clinic_id: UUID, patient: Patient, told: OrderTold) -> Order:
    study = _study_of(clinic_id, patient, told)
    if study is None:
        study = study_create(
            actor=actor, clinic_id=clinic_id, patient=patient, **_given(told, _STUDY_FIELDS)
        )
    else:
        study = study_update(actor=actor, study=study, **_given(told, _STUDY_FIELDS))
    _name(study, told)
    order = Order.objects.create(
        clinic_id=clinic_id,
        study=study,
        source=told.source,
        placer_number=told.placer_number,
        told_at=told.told_at,
        **_given(told, _OWN_FIELDS),
    )
    _audit(actor, "order.create", order)
    return order


def _changed(actor: User, order: Order, told: OrderTold) -> tuple[Order, Effect]:
    before = order.study.updated_at
    changes = _given(told, _STUDY_FIELDS)
    _refuse_foreign(order.clinic_id, order.study.patient, told)
    order.study = study_update(actor=actor, study=order.study, **changes)
    own = {
        name: value
        for name, value in _given(told, _OWN_FIELDS).items()
        if getattr(order, name) != value
    }
    for name, value in own.items():
        setattr(order, name, value)
    order.told_at = told.told_at
    order.save(update_fields=[*own, "told_at", "updated_at"])
    if own:
        _audit(actor, "order.update", order, sorted(own))
    changed = bool(own) or order.study.updated_at != before
    return order, Effect.UPDATED if changed else Effect.UNCHANGED


def _study_of(clinic_id: UUID, patient: Patient, told: OrderTold) -> Study | None:
    """Return the patient's study that the order's other numbers name."""
    _refuse_foreign(clinic_id, patient, told)
    return _same_numbers(clinic_id, told).filter(patient=patient).first()


def _same_numbers(clinic_id: UUID, told: OrderTold) -> QuerySet[Study]:
    numbers = Q(pk__in=[])
    if told.accession_number:
        numbers |= Q(accession_number=told.accession_number)
    if told.study_instance_uid:
        numbers |= Q(study_instance_uid=told.study_instance_uid)
    studies = Study.objects.filter(numbers, clinic_id=clinic_id).select_related("patient")
    return studies.defer("search", "patient__search").order_by("created_at", "id")


def _refuse_foreign(clinic_id: UUID, patient: Patient, told: OrderTold) -> None:
    """Refuse numbers that name another patient's study: that is how patients are mixed up."""
    for study in _same_numbers(clinic_id, told):
        if study.patient_id == patient.pk:
            continue
        if study.accession_number and study.accession_number == told.accession_number:
            raise ConflictError(
                "accession_of_other_patient",
                _("This accession number belongs to another patient's study."),
            )
        raise ConflictError(
            "study_uid_of_other_patient",
            _("This Study Instance UID belongs to another patient's study."),
        )


def _name(study: Study, told: OrderTold) -> None:
    """Give a study the numbers that modalities and archives know it by, once and for all."""
    changed = []
    if not study.study_instance_uid:
        # PS3.5 B.2: a UUID is a UID, so that nothing has to be looked up.
        study.study_instance_uid = told.study_instance_uid or f"2.25.{study.pk.int}"
        changed.append("study_instance_uid")
    if not study.accession_number:
        # 16 characters fit DICOM's SH; 56 random bits are unique in a clinic.
        study.accession_number = f"FS{study.pk.hex[:14].upper()}"
        changed.append("accession_number")
    if changed:
        study.save(update_fields=[*changed, "updated_at"])


def _given(told: OrderTold, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(told, name)) is not None}


def _check(told: OrderTold) -> None:
    if not told.placer_number or not told.source:
        raise RefusedInputError("order_number_missing", _("The order has no number."))
    for name, limit in _LENGTHS.items():
        if len(getattr(told, name) or "") > limit:
            raise RefusedInputError(
                "too_long",
                _("%(field)s is longer than %(limit)d characters.")
                % {"field": name, "limit": limit},
                extra={"field": name},
            )
    if told.study_instance_uid and not _UID_LETTERS.issuperset(told.study_instance_uid):
        raise RefusedInputError("study_uid_malformed", _("The Study Instance UID is no UID."))


def _one_at_a_time(clinic_id: UUID, told: OrderTold) -> None:
    """Hold one message about a number at a time: a repetition must find what the first made."""
    key = f"order/{clinic_id}/{told.source}/{told.placer_number}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def _audit(actor: User, action: str, order: Order, fields: list[str] | None = None) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=order.clinic_id,
        target=order,
        patient_id=order.study.patient_id,
        study=str(order.study_id),
        fields=fields or [],
    )
