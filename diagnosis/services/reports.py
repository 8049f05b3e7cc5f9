"""Writing, amending and printing reports; signing is in ``report_signing``.

A report has versions: at most one draft, any number of signed ones.
"""

import hashlib
from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone, translation
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.policy import Action, require
from diagnosis.documents.contracts import DocumentStatus
from diagnosis.documents.renderer import render_report
from diagnosis.models import Report, ReportVersion, Study
from diagnosis.selectors.findings import reviewed_findings_for
from diagnosis.services.first_reads import require_first_read
from diagnosis.services.report_basis import report_basis
from diagnosis.services.report_documents import report_document, report_with_study
from diagnosis.services.report_locks import check_revision, locked_draft, report_audit
from diagnosis.services.report_signing import report_sign
from diagnosis.services.report_texts import SECTIONS, report_prefill
from diagnosis.services.study_results import study_refresh
from diagnosis.storage import object_read
from fracture_site.common.errors import (
    ConflictError,
    RefusedInputError,
    UnavailableError,
)

DRAFT, SIGNED = ReportVersion.Status.DRAFT, ReportVersion.Status.SIGNED

__all__ = [
    "report_amend",
    "report_create",
    "report_draft_update",
    "report_pdf",
    "report_preview",
    "report_sign",
    "report_start",
]


def report_create(*, actor: User, study: Study) -> Report:
    """Return the study's report, made with a prefilled draft when there is none yet."""
    report, _created = report_start(actor=actor, study=study, texts={})
    return report


@transaction.atomic
def report_start(*, actor: User, study: Study, texts: Mapping[str, str]) -> tuple[Report, bool]:
    """Return the study's report and whether it is new; ``texts`` replace the prefilled ones.

    Raises:
        ConflictError: ``report_exists`` and texts were given, which would be lost.
    """
    require(user=actor, action=Action.REPORT_WRITE, clinic_id=study.clinic_id)
    require_first_read(actor=actor, study=study)
    locked = Study.objects.select_for_update(of=("self",)).get(pk=study.pk)
    existing = Report.objects.filter(study=locked).first()
    if existing and texts:
        raise ConflictError(
            "report_exists",
            _("This study has a report. Change its draft instead."),
            extra={"report": str(existing.pk)},
        )
    if existing:
        return existing, False
    report = Report.objects.create(clinic_id=study.clinic_id, study=locked)
    prefilled = _prefilled(actor, locked)
    ReportVersion.objects.create(
        clinic_id=study.clinic_id,
        report=report,
        author=actor,
        basis=report_basis(locked),
        **{**prefilled, **texts},
    )
    report_audit(actor, "report.create", report, locked)
    return report, True


@transaction.atomic
def report_draft_update(
    *,
    actor: User,
    report: Report,
    revision: int,
    technique: str | None = None,
    comparison: str | None = None,
    findings: str | None = None,
    impression: str | None = None,
    recommendation: str | None = None,
    basis: str | None = None,
) -> ReportVersion:
    """Save the draft that the caller has read as ``revision``.

    ``basis`` is the fingerprint of the study that the writer has on the screen;
    without it the study counts as read as it is now.

    Raises:
        ConflictError: ``already_signed``; an amendment is needed.
        PreconditionError: ``draft_changed``; somebody saved it in between.
    """
    require(user=actor, action=Action.REPORT_WRITE, clinic_id=report.clinic_id)
    require_first_read(actor=actor, study=report.study)
    draft = locked_draft(report, to_edit=True)
    check_revision(draft, revision)
    given = {
        "technique": technique,
        "comparison": comparison,
        "findings": findings,
        "impression": impression,
        "recommendation": recommendation,
    }
    changes = {
        name: text
        for name, text in given.items()
        if text is not None and text != getattr(draft, name)
    }
    draft.basis = basis or report_basis(report_with_study(report))
    if not changes:
        draft.save(update_fields=["basis"])
    else:
        for name, text in changes.items():
            setattr(draft, name, text)
        draft.revision += 1
        draft.author = actor
        draft.save(update_fields=[*changes, "basis", "revision", "author", "updated_at"])
        report_audit(actor, "report.edit", report, report.study, version=draft.number)
    return draft


@transaction.atomic
def report_amend(*, actor: User, report: Report, reason: str) -> ReportVersion:
    """Open a new draft on top of the newest signed version, which stays as it is.

    Raises:
        ConflictError: ``draft_exists`` or ``not_signed``.
        RefusedInputError: ``reason_missing``.
    """
    require(user=actor, action=Action.REPORT_WRITE, clinic_id=report.clinic_id)
    if not reason.strip():
        raise RefusedInputError(
            "reason_missing", _("Say why the report is amended."), fields={"reason": _("Required")}
        )
    Report.objects.select_for_update().get(pk=report.pk)
    last = report.versions.order_by("-number").first()
    if last is None or (last.status == DRAFT and last.number == 1):
        raise ConflictError("not_signed", _("Only a signed report is amended; edit the draft."))
    if last.status == DRAFT:
        raise ConflictError("draft_exists", _("An amendment is already being written."))
    version = ReportVersion.objects.create(
        clinic_id=report.clinic_id,
        report=report,
        number=last.number + 1,
        # A page still open on an older draft must not be taken for this one.
        revision=last.revision + 1,
        basis=report_basis(report_with_study(report)),
        author=actor,
        reason=reason.strip(),
        **{name: getattr(last, name) for name in SECTIONS},
    )
    study_refresh(study_id=report.study_id)
    report_audit(actor, "report.amend", report, report.study, version=version.number)
    return version


@transaction.atomic
def report_pdf(
    *, actor: User, report: Report, number: int | None = None
) -> tuple[ReportVersion, bytes]:
    """Return a signed version (the newest by default) and its PDF; the reading is audited.

    Raises:
        ConflictError: ``not_signed``.
        UnavailableError: ``storage``, also when the stored bytes are not the signed ones.
    """
    require(user=actor, action=Action.REPORT_VIEW, clinic_id=report.clinic_id)
    signed = report.versions.filter(status=SIGNED).order_by("-number")
    version = signed.filter(number=number).first() if number else signed.first()
    if version is None:
        raise ConflictError("not_signed", _("This report has no such signed version."))
    try:
        pdf = object_read(version.pdf_key)
    except OSError as error:
        raise UnavailableError("storage", _("The store does not answer; try again.")) from error
    if hashlib.sha256(pdf).hexdigest() != version.pdf_sha256:
        raise UnavailableError(
            "damaged_object", _("The stored PDF is damaged. Tell your administrator.")
        )
    report_audit(actor, "report.read", report, report.study, version=version.number)
    return version, pdf


@transaction.atomic
def report_preview(*, actor: User, report: Report) -> bytes:
    """Return the draft as a PDF that says on every page that it is not signed."""
    require(user=actor, action=Action.REPORT_WRITE, clinic_id=report.clinic_id)
    draft = locked_draft(report)
    study = report_with_study(report)
    require_first_read(actor=actor, study=study)
    try:
        document = report_document(
            version=draft, study=study, status=DocumentStatus.PREVIEW, at=timezone.now()
        )
    except OSError as error:
        raise UnavailableError("storage", _("The store does not answer; try again.")) from error
    report_audit(actor, "report.preview", report, study, version=draft.number)
    return render_report(document)


def _prefilled(actor: User, study: Study) -> dict[str, str]:
    before = Study.objects.filter(patient_id=study.patient_id, created_at__lt=study.created_at)
    earlier = before.order_by("-created_at").values_list("created_at", flat=True).first()
    with translation.override(study.clinic.language):
        return report_prefill(
            study,
            found=reviewed_findings_for(study=study, user=actor),
            image_ids=[str(pk) for pk in study.images.values_list("pk", flat=True)],
            earlier=localtime(earlier).date() if earlier else None,
        )
