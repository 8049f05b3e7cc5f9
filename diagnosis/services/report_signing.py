"""Signing: the text, the result and the findings are fixed and printed.

The PDF is rendered *before* the row changes, so a document that cannot be made blocks the
signature; the row lock of the report makes one of many simultaneous signatures win.
"""

import dataclasses
import hashlib

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.policy import Action, require
from diagnosis.documents.contracts import DocumentStatus, Verification
from diagnosis.documents.digest import report_digest
from diagnosis.documents.renderer import render_report
from diagnosis.models import Event, Report, ReportVersion, Study
from diagnosis.services.deliveries import deliveries_promise
from diagnosis.services.discrepancies import discrepancies_note
from diagnosis.services.first_reads import mind_changes_note, require_first_read
from diagnosis.services.report_basis import report_basis
from diagnosis.services.report_documents import (
    report_document,
    report_with_study,
    verification_url,
)
from diagnosis.services.report_findings import findings_snapshot
from diagnosis.services.report_locks import SIGNED, check_revision, locked_draft, report_audit
from diagnosis.services.study_results import study_refresh
from diagnosis.storage import object_put
from fracture_site.common.errors import PreconditionError, RefusedInputError, UnavailableError


@transaction.atomic
def report_sign(
    *,
    actor: User,
    report: Report,
    revision: int | None = None,
    first_reader: User | None = None,
) -> ReportVersion:
    """Sign the draft: text, result, images, findings and signer are fixed and printed.

    The caller has confirmed the credentials of ``actor``, who is the second reader when
    ``first_reader`` has signed for this text before.

    Raises:
        ConflictError: ``already_signed``, or ``awaiting_second_reader``.
        PreconditionError: ``draft_changed`` since ``revision``, or ``study_changed``: another
            patient, image or result than the writer saw.
        RefusedInputError: ``report_empty``, or a document error.
        UnavailableError: ``storage``; nothing was signed.
    """
    require(user=actor, action=Action.REPORT_SIGN, clinic_id=report.clinic_id)
    draft = locked_draft(report, to_edit=first_reader is None)
    if revision is not None:
        check_revision(draft, revision)
    study = signable_study(draft)
    require_first_read(actor=actor, study=study)
    signer = first_reader or actor
    signed_at = timezone.now()
    try:
        document = report_document(
            version=draft,
            study=study,
            status=DocumentStatus.FINAL,
            at=signed_at,
            signer_name=signer.display_name,
            second_signer_name=actor.display_name if first_reader else "",
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
    draft.status, draft.signed_by, draft.signed_at = SIGNED, signer, signed_at
    draft.signer_name, draft.result = signer.display_name, study.result
    if first_reader:
        draft.second_signer, draft.second_signer_name = actor, actor.display_name
    draft.reviewed_findings = findings_snapshot(actor=actor, study=study)
    draft.content_sha256, draft.pdf_sha256 = digest, hashlib.sha256(pdf).hexdigest()
    draft.save()
    mind_changes_note(version=draft, study=study)
    discrepancies_note(version=draft, study=study)
    study_refresh(study_id=study.pk)
    deliveries_promise(study=study, event=Event.REPORT_SIGNED, subject=str(draft.pk))
    report_audit(actor, "report.sign", report, study, version=draft.number, sha256=digest)
    return draft


def signable_study(draft: ReportVersion) -> Study:
    """Return the draft's study, locked, when this text can be signed over it.

    Raises:
        RefusedInputError: ``report_empty``.
        PreconditionError: ``study_changed``.
    """
    if not (draft.findings.strip() or draft.impression.strip()):
        raise RefusedInputError(
            "report_empty", _("Write the findings or the impression before you sign.")
        )
    # Uploads, moves and results of this study wait for the signature, or came before it.
    Study.objects.select_for_update(no_key=True).only("pk").get(pk=draft.report.study_id)
    study = report_with_study(draft.report)
    if draft.basis != report_basis(study):
        raise PreconditionError(
            "study_changed",
            _(
                "The patient, the images or the AI result changed since you read them. Nothing "
                "was signed. Look at the study again, then sign."
            ),
        )
    return study
