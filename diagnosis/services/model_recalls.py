"""Taking a version out of use for good, and telling everybody whose reports rest on it.

A recall needs no work on old rows: results name their version, so pages and API show at once that
it was recalled. What is stored is who must know, one notice a doctor and clinic.
"""

import logging
from collections.abc import Iterable
from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.languages import mail_language
from accounts.models import Clinic, Membership, Role, User, membership_in_force
from accounts.tenancy import clinic_scope
from diagnosis.models import (
    Analysis,
    Destination,
    Event,
    ModelChange,
    ModelVersion,
    RecallNotice,
    ReportVersion,
    Study,
)
from diagnosis.services.deliveries import deliveries_promise
from diagnosis.services.model_registry import (
    found,
    locked,
    move,
    reason_of,
    record,
    require_operator,
)
from fracture_site.common.errors import ConflictError

logger = logging.getLogger(__name__)


@transaction.atomic
def model_recall(
    *, actor: User | None, version: ModelVersion, reason: str, revision: int | None = None
) -> ModelChange:
    """Take the version out of use, mark what it made, and tell the doctors of every clinic.

    Images that come while nothing else is active wait; activate another version, or roll back.
    Mails are sent after commit by ``recall_mails_send``.

    Raises:
        ConflictError: ``model_recalled`` already, ``model_registry_changed``.
        RefusedInputError: ``reason_required``.
        PermissionDenied: ``actor`` may not change models.
    """
    require_operator(actor)
    reason = reason_of(reason)
    row = found(version, locked(revision))
    if row.is_recalled:
        raise ConflictError("model_recalled", _("This version was recalled."))
    move([row], ModelVersion.Stage.REGISTERED)
    ModelVersion.objects.filter(pk=row.pk).update(recalled_at=timezone.now())
    change = record(actor, row, ModelChange.Kind.RECALL, reason)
    for clinic_id in Clinic.objects.order_by("pk").values_list("pk", flat=True):
        with clinic_scope(clinic_id):
            _tell(change, clinic_id)
            _promise(change, clinic_id)
    return change


def recall_mails_send(*, change: ModelChange) -> tuple[int, int]:
    """Send the mails of a recall that were not sent yet; returns how many were and were not.

    Outside of the recall's transaction: a mail server that is down must not undo a recall.
    """
    sent = failed = 0
    for clinic_id in Clinic.objects.order_by("pk").values_list("pk", flat=True):
        with clinic_scope(clinic_id):
            waiting = list(
                RecallNotice.objects.filter(change=change, mailed_at__isnull=True).select_related(
                    "user", "clinic", "change__model_version"
                )
            )
        for notice in waiting:
            if not _mail(notice):
                failed += 1
                continue
            sent += 1
            with clinic_scope(clinic_id):
                RecallNotice.objects.filter(pk=notice.pk).update(mailed_at=timezone.now())
    return sent, failed


@transaction.atomic
def recall_notice_confirm(*, actor: User, pk: UUID) -> None:
    """Remember that the person has read their notice; a foreign one is none."""
    RecallNotice.objects.for_user(actor).filter(pk=pk, user=actor, seen_at__isnull=True).update(
        seen_at=timezone.now()
    )


def _promise(change: ModelChange, clinic_id: UUID) -> None:
    """Promise to tell other software which studies the version has read."""
    asking = Destination.objects.filter(
        clinic_id=clinic_id, is_enabled=True, events__contains=[Event.MODEL_RECALLED]
    )
    if not asking.exists():
        return
    read = Analysis.objects.filter(
        model_version=change.model_version, status=Analysis.Status.SUCCEEDED
    )
    studies = Study.objects.filter(pk__in=read.values("image__study")).defer("search", "result")
    for study in studies.select_for_update(no_key=True).order_by("pk"):
        # Model and study in 64 digits: a destination hears of each pair once.
        subject = change.model_version_id.hex + study.pk.hex
        deliveries_promise(study=study, event=Event.MODEL_RECALLED, subject=subject)


def _tell(change: ModelChange, clinic_id: UUID) -> None:
    """Write one notice for each doctor concerned: who signed, or all when nobody has."""
    results = Analysis.objects.filter(
        model_version=change.model_version, status=Analysis.Status.SUCCEEDED
    )
    count = results.count()
    if not count:
        return
    signed = ReportVersion.objects.filter(
        status=ReportVersion.Status.SIGNED, report__study__images__analyses__in=results
    )
    reports = signed.values("report").distinct().count()
    unread = results.exclude(image__study__report__versions__status="signed").exists()
    people = set(signed.values_list("signed_by_id", flat=True))
    if unread:
        people |= set(_doctors(clinic_id))
    RecallNotice.objects.bulk_create(
        RecallNotice(
            clinic_id=clinic_id, change=change, user_id=user_id, results=count, reports=reports
        )
        for user_id in sorted(filter(None, people), key=str)
    )
    audit_record(
        actor=change.actor,
        action="model.recall.notify",
        clinic_id=clinic_id,
        target=change.model_version,
        results=count,
        reports=reports,
        people=len(people),
    )


def _doctors(clinic_id: UUID) -> Iterable[UUID]:
    return Membership.objects.filter(
        membership_in_force(),
        clinic_id=clinic_id,
        roles__contains=[Role.DOCTOR],
        user__is_active=True,
    ).values_list("user_id", flat=True)


def _mail(notice: RecallNotice) -> bool:
    context = {
        "notice": notice,
        "model": notice.change.model_version,
        "link": settings.BASE_URL.rstrip("/") + "/",
    }
    with translation.override(mail_language(user=notice.user, clinic=notice.clinic)):
        subject = render_to_string("diagnosis/email/recall_subject.txt", context)
        message = render_to_string("diagnosis/email/recall_message.txt", context)
    try:
        send_mail(
            subject=" ".join(subject.split()),
            message=message,
            from_email=None,
            recipient_list=[notice.user.email],
        )
    except (SMTPException, OSError) as error:
        logger.warning("a recall was not mailed", extra={"code": type(error).__name__})
        return False
    return True
