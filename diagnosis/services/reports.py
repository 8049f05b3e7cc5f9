"""Writing, signing, amending and printing reports.

A report has versions: at most one draft, any number of signed ones. Signing
renders the PDF *before* the row changes, so a document that cannot be made
blocks the signature; the row lock of the report makes one of many
simultaneous signatures win.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.documents.contracts import DocumentStatus, Verification
from diagnosis.documents.digest import report_digest
from diagnosis.documents.renderer import render_report
from diagnosis.models import Event, Report, ReportVersion, Study
from diagnosis.services.deliveries import deliveries_promise
from diagnosis.services.report_basis import report_basis
from diagnosis.services.report_documents import (
    report_document,
    report_with_study,
    verification_url,
)
from diagnosis.services.report_findings import findings_snapshot
from diagnosis.services.report_texts import SECTIONS, report_prefill
from diagnosis.services.study_results import study_refresh
from diagnosis.storage import object_put, object_read
from fracture_site.common.errors import (
    ConflictError,
    PreconditionError,
    RefusedInputError,
    UnavailableError,
)

DRAFT, SIGNED = ReportVersion.Status.DRAFT, ReportVersion.Status.SIGNED


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
    prefilled = report_prefill(locked, image_ids=[str(pk) for pk in _image_ids(locked)])
    ReportVersion.objects.create(
        clinic_id=study.clinic_id,
        report=report,
        author=actor,
        basis=report_basis(locked),
        **{**prefilled, **texts},
    )
    _audit(actor, "report.create", report, locked)
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
    draft = _locked_draft(report)
    _check_revision(draft, revision)
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
        _audit(actor, "report.edit", report, report.study, version=draft.number)
    return draft


@transaction.atomic
def report_sign(*, actor: User, report: Report, revision: int | None = None) -> ReportVersion:
    """Sign the draft: text, result, images and signer are fixed and printed.

    The caller has confirmed the signer's credentials.

    Raises:
        ConflictError: ``already_signed``.
        PreconditionError: ``draft_changed`` since ``revision``, or ``study_changed``: another
            patient, image or result than the writer saw.
        RefusedInputError: ``report_empty``, or a document error.
        UnavailableError: ``storage``; nothing was signed.
    """
    require(user=actor, action=Action.REPORT_SIGN, clinic_id=report.clinic_id)
    draft = _locked_draft(report)
    if revision is not None:
        _check_revision(draft, revision)
    if not (draft.findings.strip() or draft.impression.strip()):
        raise RefusedInputError(
            "report_empty", _("Write the findings or the impression before you sign.")
        )
    # Uploads, moves and results of this study wait for the signature, or came before it.
    Study.objects.select_for_update(no_key=True).only("pk").get(pk=report.study_id)
    study = report_with_study(report)
    if draft.basis != report_basis(study):
        raise PreconditionError(
            "study_changed",
            _(
                "The patient, the images or the AI result changed since you read them. Nothing "
                "was signed. Look at the study again, then sign."
            ),
        )
    signed_at = timezone.now()
    try:
        document = report_document(
            version=draft,
            study=study,
            status=DocumentStatus.FINAL,
            at=signed_at,
            signer_name=actor.display_name,
        )
        digest = report_digest(document)
        pdf = render_report(
            dataclasses.replace(
                document,
                verification=Verification(sha256=digest, url=verification_url(digest)),
            )
        )
        draft.pdf_key = object_put(data=pdf, kind="reports", content_type="application/pdf")
    except OSError as error:
        raise UnavailableError(
            "storage", _("The image store does not answer. Nothing was signed; try again.")
        ) from error
    draft.status, draft.signed_by, draft.signed_at = SIGNED, actor, signed_at
    draft.signer_name, draft.result = actor.display_name, study.result
    draft.reviewed_findings = findings_snapshot(actor=actor, study=study)
    draft.content_sha256, draft.pdf_sha256 = digest, hashlib.sha256(pdf).hexdigest()
    draft.save()
    study_refresh(study_id=study.pk)
    deliveries_promise(study=study, event=Event.REPORT_SIGNED, subject=str(draft.pk))
    _audit(actor, "report.sign", report, study, version=draft.number, sha256=digest)
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
    _audit(actor, "report.amend", report, report.study, version=version.number)
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
    _audit(actor, "report.read", report, report.study, version=version.number)
    return version, pdf


@transaction.atomic
def report_preview(*, actor: User, report: Report) -> bytes:
    """Return the draft as a PDF that says on every page that it is not signed."""
    require(user=actor, action=Action.REPORT_WRITE, clinic_id=report.clinic_id)
    draft = _locked_draft(report)
    study = report_with_study(report)
    try:
        document = report_document(
            version=draft, study=study, status=DocumentStatus.PREVIEW, at=timezone.now()
        )
    except OSError as error:
        raise UnavailableError("storage", _("The store does not answer; try again.")) from error
    _audit(actor, "report.preview", report, study, version=draft.number)
    return render_report(document)


def _image_ids(study: Study) -> list[UUID]:
    return list(study.images.values_list("pk", flat=True))


def _locked_draft(report: Report) -> ReportVersion:
    """Return the draft under the report's lock."""
    Report.objects.select_for_update().get(pk=report.pk)
    draft = report.versions.filter(status=DRAFT).first()
    if draft is None:
        raise ConflictError(
            "already_signed", _("This report is signed. Write an amendment to change it.")
        )
    return draft


def _check_revision(draft: ReportVersion, revision: int) -> None:
    if draft.revision != revision:
        raise PreconditionError(
            "draft_changed",
            _("Somebody saved this draft in between. Load it again and repeat your change."),
            extra={"revision": draft.revision},
        )


def _audit(actor: User, action: str, report: Report, study: Study, **details: Any) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=report.clinic_id,
        target=report,
        patient_id=study.patient_id,
        **details,
    )
