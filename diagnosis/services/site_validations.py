"""Asking for a site validation, and printing one."""

from datetime import date
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import Clinic, User
from accounts.policy import Action, require
from diagnosis import jobs
from diagnosis.documents.validation import render_validation, validation_payload
from diagnosis.models import ModelVersion, SiteValidation
from diagnosis.services.report_documents import intended_use
from diagnosis.services.violations import violated_constraint
from fracture_site.common.errors import ConflictError, RefusedInputError


@transaction.atomic
def validation_request(
    *, actor: User, clinic_id: UUID, version: ModelVersion, first: date, last: date
) -> SiteValidation:
    """Promise to compare a version with the reports of studies that arrived on these days.

    Raises:
        RefusedInputError: ``days_unusable``.
        ConflictError: ``validation_open``: one of this version is being made.
    """
    require(user=actor, action=Action.VALIDATION_RUN, clinic_id=clinic_id)
    if first > last:
        text = _("This day lies before the first one.")
        raise RefusedInputError("days_unusable", text, fields={"last": text})
    try:
        with transaction.atomic():
            row = SiteValidation.objects.create(
                clinic_id=clinic_id,
                model_version=version,
                requested_by=actor,
                first=first,
                last=last,
            )
    except IntegrityError as error:
        if violated_constraint(error) != "site_validation_one_open":
            raise
        raise ConflictError(
            "validation_open", _("A validation of this model is being made already.")
        ) from error
    _audit(actor, "validation.request", row, model=str(version.pk))
    transaction.on_commit(lambda: jobs.wake_workers(model=SiteValidation), robust=True)
    return row


@transaction.atomic
def validation_pdf(*, actor: User, validation: SiteValidation) -> bytes:
    """Return a finished validation as PDF; it names studies by their ids only.

    Raises:
        ConflictError: ``validation_not_ready``.
        DocumentError: it cannot be printed.
    """
    require(user=actor, action=Action.DASHBOARD_VIEW, clinic_id=validation.clinic_id)
    if validation.result is None or validation.finished_at is None:
        raise ConflictError("validation_not_ready", _("This validation is not ready yet."))
    clinic = Clinic.objects.get(pk=validation.clinic_id)
    pdf = render_validation(
        validation_document(validation=validation, clinic=clinic), at=validation.finished_at
    )
    _audit(actor, "validation.print", validation)
    return pdf


def validation_document(*, validation: SiteValidation, clinic: Clinic) -> dict[str, Any]:
    """Return what page and PDF show of a finished validation, in the language in force."""
    return validation_payload(
        validation,
        clinic_name=clinic.name,
        intended_use=intended_use(clinic),
        zone=ZoneInfo(clinic.time_zone),
        language=translation.get_language() or "en",
    )


def _audit(actor: User, action: str, row: SiteValidation, **details: Any) -> None:
    audit_record(actor=actor, action=action, clinic_id=row.clinic_id, target=row, **details)
