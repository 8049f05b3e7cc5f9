"""Every write of studies by people: ordering, corrections, and moving what lies with the wrong one.

Locks are taken in one order everywhere: patients, reports, analyses, studies.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.http import Http404
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.interop.dicom_identity import OTHER_STUDY
from diagnosis.models import Analysis, Patient, Priority, Report, ReportVersion, Study, StudyImage
from diagnosis.services.patients import patient_locked
from diagnosis.services.search_index import study_reindex
from diagnosis.services.study_results import study_refresh
from diagnosis.services.violations import save_with_own_number
from fracture_site.common.errors import ConflictError, RefusedInputError


@transaction.atomic
def study_create(
    *,
    actor: User,
    clinic_id: UUID,
    patient: Patient,
    clinical_question: str = "",
    body_part: str = "",
    side: str = "",
    priority: int = Priority.ROUTINE,
    accession_number: str = "",
) -> Study:
    """Open a study of a patient; images are uploaded to it afterwards.

    Raises:
        ConflictError: ``accession_number_taken`` or ``patient_merged``.
        Http404: the patient is not of this clinic.
        RefusedInputError: ``body_part_unknown``, ``side_unknown`` or ``priority_unknown``.
    """
    require(user=actor, action=Action.STUDY_EDIT, clinic_id=clinic_id)
    if patient.clinic_id != clinic_id:
        raise Http404
    study = Study(
        clinic_id=clinic_id,
        patient=patient_locked(patient),
        clinical_question=clinical_question.strip(),
        body_part=body_part,
        side=side,
        priority=priority,
        accession_number=accession_number.strip(),
        created_by=actor,
    )
    _check(study)
    _save(study)
    study_reindex(study)
    _audit(actor, "study.create", study)
    return _refreshed(study)


@transaction.atomic
def study_update(
    *,
    actor: User,
    study: Study,
    clinical_question: str | None = None,
    body_part: str | None = None,
    side: str | None = None,
    priority: int | None = None,
    accession_number: str | None = None,
) -> Study:
    """Correct what was ordered; what is left out stays. A signed report stays as it is printed.

    A new priority also moves the analyses that still wait.

    Raises:
        ConflictError: ``accession_number_taken``.
        RefusedInputError: as ``study_create``.
    """
    require(user=actor, action=Action.STUDY_EDIT, clinic_id=study.clinic_id)
    if priority is not None:  # before the study's row: see the order of locks
        waiting = Analysis.objects.filter(image__study=study, status=Analysis.Status.QUEUED)
        waiting.exclude(priority=priority).update(priority=_known_priority(priority))
    locked = study_locked(study)
    values = {
        "clinical_question": None if clinical_question is None else clinical_question.strip(),
        "body_part": body_part,
        "side": side,
        "priority": priority,
        "accession_number": None if accession_number is None else accession_number.strip(),
    }
    changed = [
        name
        for name, value in values.items()
        if value is not None and getattr(locked, name) != value
    ]
    if not changed:
        return locked
    for name in changed:
        setattr(locked, name, values[name])
    _check(locked)
    _save(locked, [*changed, "updated_at"])
    study_reindex(locked)
    _audit(actor, "study.update", locked, changed)
    return _refreshed(locked)


@transaction.atomic
def study_move(*, actor: User, study: Study, patient: Patient) -> Study:
    """Give a study that was made for the wrong person to the right one.

    Raises:
        ConflictError: ``study_reported`` (its signed report names the person), or
            ``patient_merged``.
        Http404: the patient is not of this clinic.
    """
    require(user=actor, action=Action.IMAGE_MOVE, clinic_id=study.clinic_id)
    if patient.clinic_id != study.clinic_id:
        raise Http404
    new_patient = patient_locked(patient)
    _refuse_reported([study.pk])
    locked = study_locked(study)
    old_patient_id = locked.patient_id
    if old_patient_id == new_patient.pk:
        return locked
    locked.patient, locked.merged_from = new_patient, None
    locked.save(update_fields=["patient", "merged_from", "updated_at"])
    study_reindex(locked)
    for patient_id in (old_patient_id, new_patient.pk):  # in the trail of both
        audit_record(
            actor=actor,
            action="study.move",
            clinic_id=locked.clinic_id,
            target=locked,
            patient_id=patient_id,
            from_patient=str(old_patient_id),
            to_patient=str(new_patient.pk),
        )
    return _refreshed(locked)


@transaction.atomic
def image_move(*, actor: User, image: StudyImage, study: Study) -> StudyImage:
    """Put an image that was uploaded to the wrong study into the right one, at its end.

    Its analyses go with it; both studies' results are recomputed.

    Raises:
        ConflictError: ``study_reported`` when one of the two studies has a signed report:
            taking an image away would leave the report without its evidence, and an image
            that was not read must not slip in under a signature by a move.
        Http404: the study is not of this clinic.
    """
    require(user=actor, action=Action.IMAGE_MOVE, clinic_id=image.clinic_id)
    if study.clinic_id != image.clinic_id:
        raise Http404
    old_study_id = StudyImage.objects.values_list("study_id", flat=True).get(pk=image.pk)
    _refuse_reported([old_study_id, study.pk])
    # A worker that finishes meanwhile waits here, and then finds the image in its new study.
    list(Analysis.objects.select_for_update(no_key=True).filter(image=image).order_by("pk"))
    studies = {row.pk: row for row in _locked([old_study_id, study.pk])}
    moved = StudyImage.objects.select_for_update(no_key=True).get(pk=image.pk)
    if moved.study_id != old_study_id:
        raise ConflictError(
            "image_moved_meanwhile", _("Somebody else has just moved this image. Look again.")
        )
    old, new = studies[old_study_id], studies[study.pk]
    if old.pk == new.pk:
        return moved
    own_uid = str(moved.dicom_header.get(OTHER_STUDY) or old.study_instance_uid)
    note_other_study(moved, new, own_uid if moved.sop_instance_uid else "")
    moved.study, moved.position = new, next_position(new)
    moved.save(update_fields=["study", "position", "dicom_header"])
    for patient_id in dict.fromkeys((old.patient_id, new.patient_id)):
        audit_record(
            actor=actor,
            action="image.move",
            clinic_id=moved.clinic_id,
            target=moved,
            patient_id=patient_id,
            from_study=str(old.pk),
            to_study=str(new.pk),
        )
    for study_id in sorted((old.pk, new.pk)):
        study_refresh(study_id=study_id)
    return moved


def note_other_study(image: StudyImage, study: Study, own_uid: str) -> None:
    """Keep which DICOM study an image is of when that is not the one that it is filed under.

    What is made of it must name the image as the archive has it.
    """
    header = {key: value for key, value in image.dicom_header.items() if key != OTHER_STUDY}
    if own_uid and study.study_instance_uid and own_uid != study.study_instance_uid:
        header[OTHER_STUDY] = own_uid
    image.dicom_header = header


def next_position(study: Study) -> int:
    """Return the place behind the study's last image; its row must be locked."""
    last: int | None = study.images.aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1


def study_locked(study: Study) -> Study:
    """Return the present row of a study, locked until the transaction ends.

    Raises:
        Http404: not of the current clinic.
    """
    found = _locked([study.pk])
    if not found:
        raise Http404
    return found[0]


def _locked(pks: list[UUID]) -> list[Study]:
    # Locked by a statement of its own: one that joins the patient finds no row when the lock was
    # waited for and the study has got another patient meanwhile.
    rows = Study.objects.filter(pk__in=pks).order_by("pk")
    list(rows.select_for_update(no_key=True).values_list("pk"))
    rows = rows.filter(erased_at__isnull=True)  # perhaps by whoever held the lock
    return list(rows.select_related("patient").defer("search", "patient__search"))


def _refuse_reported(study_ids: list[UUID]) -> None:
    """Wait for signatures that are being made, then refuse studies that have one."""
    list(Report.objects.select_for_update().filter(study__in=study_ids).order_by("pk"))
    signed = ReportVersion.objects.filter(
        report__study__in=study_ids, status=ReportVersion.Status.SIGNED
    )
    if signed.exists():
        raise ConflictError(
            "study_reported",
            _("This study has a signed report. Amend the report; nothing can be moved any more."),
        )


def _refreshed(study: Study) -> Study:
    """Recompute what is derived and return the row as it is now."""
    patient = study.patient
    study = study_refresh(study_id=study.pk)
    study.patient = patient
    return study


def _known_priority(priority: int) -> int:
    if priority not in Priority.values:
        unknown = _("Choose one of the listed values.")
        raise RefusedInputError("priority_unknown", unknown, fields={"priority": unknown})
    return priority


def _check(study: Study) -> None:
    _known_priority(study.priority)
    for name, choices in (("body_part", Study.BodyPart), ("side", Study.Side)):
        value = getattr(study, name)
        if value and value not in choices.values:
            unknown = _("Choose one of the listed values.")
            raise RefusedInputError(f"{name}_unknown", unknown, fields={name: unknown})


def _save(study: Study, update_fields: list[str] | None = None) -> None:
    taken = _("Another study has this accession number.")
    save_with_own_number(study, update_fields, number="accession_number", taken=taken)


def _audit(actor: User, action: str, study: Study, changed: Sequence[str] = ()) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=study.clinic_id,
        target=study,
        patient_id=study.patient_id,
        fields=list(changed),
    )
