# ruff: noqa: S608 - the names in these statements are ours
"""Two clinics with one row of each kind, and a mark in every text and file of theirs.

A mark that somebody of the other clinic sees is a leak, wherever they see it.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from django.apps import apps
from django.db import IntegrityError, connections, models, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import Clinic, Invitation, Membership, Role
from accounts.selectors import secret_hash
from accounts.tenancy import clinic_scope
from diagnosis.interop.dicom_identity import image_uid, series_uid, study_uid
from diagnosis.models import (
    ClinicOwnedModel,
    ClinicRules,
    DraftCopy,
    ModelChange,
    Priority,
    RecallNotice,
    SavedFilter,
    Study,
    TrainingConsent,
)
from tests.diagnosis.api.conftest import world_of
from tests.factories import (
    AlertRecipientFactory,
    ApiTokenFactory,
    ClinicFactory,
    DeviceFactory,
    FindingReviewFactory,
    Hl7MessageFactory,
    Hl7SenderFactory,
    MembershipFactory,
    ModelVersionFactory,
    OrderFactory,
    PriorFetchFactory,
    ShadowRunFactory,
    ShareCommentFactory,
    StudyClaimFactory,
    StudyShareFactory,
    reading_rows,
)
from tests.support.dicom_studies import dicom, sign, study_with
from tests.support.site_walk import _validations

# Texts that programs compare, count or open something with: a mark would only break the row.
MACHINE = re.compile(
    r"(key|sha256|hash|hmac|_uid|status|outcome|_code|format|content_type|language|version|region"
    r"|severity|modality|position|laterality|_part|_id|_title|level)$"
    r"|^(kind|verdict|side|token|prefix|scope|action|event|subject|state|character_set|sex|basis"
    r"|first|second|fracture_type|displacement|host|url|code|message_type|way|result|answer|final"
    r"|decision|bone|reject_reason|capture|body_part_examined|certainty|time_zone|intended_use|target_type"
    r"|second_reader|email)$"
)

WHERE = ("true", "{} <> ''")  # some texts must be empty until something has happened


@dataclass
class Side:
    """A clinic, its people, and what stands for an id behind each word of an address."""

    clinic: Clinic
    mark: str
    doctor: Membership
    colleague: Membership
    admin: Membership
    rows: SimpleNamespace
    ids: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)  # identifiers of its rows
    unmarked: set[str] = field(default_factory=set)  # columns that took no mark


def side(letter: str, *, hostile: str = "") -> Side:
    """Make a clinic with one of everything, marked; ``hostile`` goes before each mark."""
    clinic = ClinicFactory(name=f"House {letter}")
    mark = f"qz{letter}{uuid4().hex[:9]}"

    def member(role: str) -> Membership:
        email = f"{role}.{mark}@x.example"
        return MembershipFactory(clinic=clinic, user__email=email, **{role: True})

    doctor, admin = member("doctor"), member("clinic_admin")
    colleague = MembershipFactory(clinic=clinic, doctor=True)
    made = Side(clinic, mark, doctor, colleague, admin, world_of(clinic, doctor.user))
    rows = made.rows
    made.ids = _api_rows(rows) | _rows_around(made, letter) | _a_signed_dicom_study(made)
    made.ids = {name: str(value) for name, value in made.ids.items()}
    made.ids |= _fhir_ids(made)
    _mark_texts(made, hostile + made.mark)
    return made


def _api_rows(rows: SimpleNamespace) -> dict[str, Any]:
    return {
        "patients": rows.patient.pk, "studies": rows.study.pk, "images": rows.image.pk,
        "findings": rows.finding.pk, "alerts": rows.alert.pk, "reports": rows.report.pk,
        "recalls": rows.recall.pk, "macros": rows.macro.pk, "annotations": rows.annotation.pk,
        "discrepancies": rows.discrepancy.pk, "key-images": rows.keyimage.pk,
        "destinations": rows.destination.pk, "deliveries": rows.delivery.pk,
        "erasures": rows.erasure.pk, "exports": rows.export.pk,
        "uploads": rows.upload.pk, "launch/study": rows.study.pk, "launch": "x" * 43,
        "patient": rows.patient.pk, "study": rows.study.pk, "studyimage": rows.image.pk,
        "analysis": rows.analysis.pk, "report": rows.report.pk, "joboverview": rows.analysis.pk,
    }  # fmt: skip


def _rows_around(made: Side, letter: str) -> dict[str, Any]:
    clinic, doctor, rows = made.clinic, made.doctor, made.rows
    share_secret, invite_secret = f"share-{letter}" + "s" * 40, f"invite-{letter}" + "s" * 40
    reading_rows(rows.version)
    share = StudyShareFactory(
        study=rows.study, created_by=doctor.user, token_hash=secret_hash(share_secret),
        image_ids=[rows.image.pk],
    )  # fmt: skip
    ShareCommentFactory(share=share)
    model = ModelVersionFactory()
    change = ModelChange.objects.create(model_version=model, kind="recall", reason="x")
    validation, _waits = _validations(made.admin, model)
    invitation = Invitation.objects.create(
        clinic=clinic, email=f"new-{letter}@x.example", roles=[Role.DOCTOR],
        invited_by=made.admin.user, token_hash=secret_hash(invite_secret),
        expires_at=timezone.now() + timedelta(days=7),
    )  # fmt: skip
    own = {"clinic": clinic}
    with clinic_scope(clinic.pk):
        saved = SavedFilter.objects.create(**own, user=doctor.user, name="f")
        notice = RecallNotice.objects.create(
            **own, user=doctor.user, change=change, results=1, reports=1
        )
        copy = DraftCopy.objects.get(version=rows.version)
        ClinicRules.objects.create(**own, critical_priority=Priority.ROUTINE)
        TrainingConsent.objects.create(**own, granted_by=made.admin.user)
    AlertRecipientFactory(alert=rows.alert, user=doctor.user)
    FindingReviewFactory(finding=rows.finding, author=doctor.user)
    order = OrderFactory(study=rows.study)
    fetch = PriorFetchFactory(study=rows.study, requested_by=doctor.user)
    device = DeviceFactory(membership=MembershipFactory(clinic=clinic, technician=True))
    sender = Hl7SenderFactory(clinic=clinic)
    Hl7MessageFactory(sender=sender)
    StudyClaimFactory(study=rows.study, doctor=doctor.user)
    ShadowRunFactory(analysis=rows.analysis)
    token = ApiTokenFactory(membership=doctor, name=made.mark)
    return {
        "shares": share.pk, "second-opinion/study": share.pk, "second-opinion": share_secret,
        "invitation": invite_secret, "invitations": invitation.pk, "validations": validation.pk,
        "filters": saved.pk, "notices": notice.pk, "copies": copy.pk, "prior-fetches": fetch.pk,
        "devices": device.pk, "members": made.colleague.pk, "tokens": token.pk,
        "models": model.pk, "ServiceRequest": order.pk, "hl7sender": sender.pk,
        "clinic": clinic.pk, "user": doctor.user_id, "membership": doctor.pk,
        "apitoken": token.pk, "modelversion": model.pk,
    }  # fmt: skip


def _a_signed_dicom_study(made: Side) -> dict[str, Any]:
    """One file as a hospital sends it, read and signed: DICOMweb, FHIR and a real PDF."""
    stored = study_with(
        dicom(ord(made.mark[2]), PatientName=f"{made.mark}^Header"), member=made.doctor
    )
    with clinic_scope(made.clinic.pk):
        stored.patient.family_name = made.mark
        stored.patient.save()
        version = sign(stored, add=True)
        study = Study.objects.get(pk=stored.study.pk)
    image = stored.images[0]
    return {
        "dicomweb/studies": study_uid(study), "series": series_uid(study, image),
        "instances": image_uid(image), "verify": version.content_sha256,
        "signed": version.report_id,
    }  # fmt: skip


def _fhir_ids(made: Side) -> dict[str, str]:
    """Return the first of each kind as a member with all roles finds them."""
    everything = MembershipFactory(clinic=made.clinic, roles=list(Role.values))
    token = ApiTokenFactory(membership=everything)
    client = Client(headers={"Authorization": f"Bearer {token.secret}"})
    found = {}
    for kind in ("Patient", "ImagingStudy", "Observation", "DiagnosticReport", "Device",
                 "DocumentReference", "Provenance", "AuditEvent"):  # fmt: skip
        bundle = client.get(f"/fhir/R4/{kind}").json()
        for entry in bundle["entry"]:
            found[kind] = entry["resource"]["id"]
            for form in entry["resource"].get("presentedForm", []):
                found["Binary"] = form["url"].rpartition("/")[2]
    found["auditevent"] = found["AuditEvent"]
    return found


def _mark_texts(made: Side, mark: str) -> None:
    """Write the mark into every text of the clinic's rows, as owner and without triggers."""
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute("SELECT set_config('app.clinic', %s, true)", [str(made.clinic.pk)])
        for model in apps.get_models():
            column = _clinic_column(model)
            if column is None or not model._meta.managed:
                continue
            table = model._meta.db_table
            cursor.execute(f"SELECT id FROM {table} WHERE {column} = %s", [made.clinic.pk])
            made.own |= {str(row[0]) for row in cursor.fetchall() if isinstance(row[0], UUID)}
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            for text in _texts(model):
                if not any(
                    _marked(cursor, table, column, text, made, mark, also) for also in WHERE
                ):
                    made.unmarked.add(f"{model.__name__}.{text.name}")
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or the table stays in use
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(
            "UPDATE accounts_user SET full_name = right(full_name || %s, 150) WHERE id IN "
            "(SELECT user_id FROM accounts_membership WHERE clinic_id = %s)",
            [mark[-150:], made.clinic.pk],
        )


def _marked(
    cursor: Any, table: str, column: str, text: models.Field, made: Side, mark: str, also: str
) -> bool:
    """Append the mark, and a part of the id, which keeps what must differ different."""
    length = text.max_length or 10_000
    if length < len(made.mark):
        return False
    try:
        with transaction.atomic(using="owner"):
            cursor.execute(
                f"UPDATE {table} SET {text.column} = "
                f"right({text.column} || left(id::text, 6) || %s, {length}) "
                f"WHERE {column} = %s AND {also.format(text.column)}",
                [mark, made.clinic.pk],
            )
    except IntegrityError:
        return False
    return True


def _clinic_column(model: type[models.Model]) -> str | None:
    if model is Clinic:
        return "id"
    names = {found.name for found in model._meta.concrete_fields}
    owned = issubclass(model, ClinicOwnedModel) or model is Invitation
    return "clinic_id" if owned and "clinic" in names else None


def _texts(model: type[models.Model]) -> list[models.Field]:
    return [
        found
        for found in model._meta.concrete_fields
        if isinstance(found, models.CharField | models.TextField)
        and not found.choices
        and found.name != "erased_age"  # of nobody
        and not MACHINE.search(found.name)
    ]
