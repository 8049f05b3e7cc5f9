"""Critical results: telling the named people, going on to the next ones, and the answer.

The rows are the promise, so restarts lose nothing: the sweeper (beat and every worker) asks the
database which clinics have somebody to tell. Each step is decided under the row's lock, with the
database's clock; any number of sweepers may run at the same time.
"""

import logging
from datetime import timedelta
from smtplib import SMTPException
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from accounts.audit import audit_record
from accounts.languages import mail_language
from accounts.models import Membership, User, membership_in_force
from accounts.policy import Action, require
from accounts.tenancy import clinic_scope
from diagnosis.models import Alert, AlertRecipient, ClinicRules, Study, Verdict
from diagnosis.services.first_reads import require_first_read

logger = logging.getLogger(__name__)
MAIL_ATTEMPTS: Final = 5
MAIL_RETRY: Final = timedelta(minutes=2)
AT_ONCE: Final = 50
_NOT_WAITING: Final = frozenset({Study.Status.REPORTED, Study.Status.PRIOR})


def alert_consider(study: Study) -> None:
    """Raise an alert when the clinic's rules say so; call it in the change, the row is locked."""
    if study.verdict != Verdict.DEFINITE or study.status in _NOT_WAITING:
        return
    rules = ClinicRules.objects.filter(clinic_id=study.clinic_id, critical_enabled=True).first()
    if rules is None or not rules.critical_levels or not _is_critical(study, rules):
        return
    if Alert.objects.filter(study=study).exists():
        return
    alert = Alert.objects.create(
        clinic_id=study.clinic_id, study=study, levels=rules.critical_levels
    )
    audit_record(
        actor=None,
        action="alert.raise",
        clinic_id=study.clinic_id,
        target=alert,
        patient_id=study.patient_id,
        study=str(study.pk),
    )
    _tell_next(alert)


@transaction.atomic
def alert_acknowledge(*, actor: User, alert: Alert) -> Alert:
    """Record that ``actor`` knows of the result and sees to it; the first answer counts.

    Doctors answer any alert of the clinic, others those that they were told of. Who reads before
    the AI answers for themselves first: until then they know only that the study waits.

    Raises:
        ConflictError: ``first_read_missing``.
    """
    told = AlertRecipient.objects.filter(alert=alert, user=actor).exists()
    action = Action.STUDY_VIEW if told else Action.STUDY_CLAIM
    require(user=actor, action=action, clinic_id=alert.clinic_id)
    require_first_read(actor=actor, study=alert.study)
    changed = Alert.objects.filter(pk=alert.pk, acknowledged_at__isnull=True).update(
        acknowledged_at=Now(), acknowledged_by=actor, next_at=None
    )
    if changed:
        AlertRecipient.objects.filter(alert=alert).update(mail_due_at=None)
        _audit(actor, "alert.acknowledge", alert)
    return Alert.objects.select_related("study__patient", "acknowledged_by").get(pk=alert.pk)


def alerts_sweep() -> int:
    """Tell the next people where nobody has answered in time, and send e-mails; return how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT due_clinic_id FROM diagnosis_alert_clinics()")
        clinics = [row[0] for row in cursor.fetchall()]
    return sum(_escalate(clinic_id) + _mail(clinic_id) for clinic_id in clinics)


def _is_critical(study: Study, rules: ClinicRules) -> bool:
    """Return whether the rules name such a study; what is not known of it does not exclude it."""
    fits = [
        not chosen or not value or value in chosen
        for chosen, value in (
            (rules.critical_regions, study.body_part),
            (rules.critical_severities, study.severity),
        )
    ]
    return all(fits) and study.priority <= rules.critical_priority


def _escalate(clinic_id: UUID) -> int:
    with clinic_scope(clinic_id):
        due = Alert.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            next_at__lte=Now()
        )
        alerts = list(due.select_related("study").defer("study__search")[:AT_ONCE])
        for alert in alerts:
            _tell_next(alert)
            _audit(None, "alert.escalate", alert, level=alert.level)
    return len(alerts)


def _tell_next(alert: Alert) -> None:
    """Tell the next level that has somebody who is still a member; its row is locked or new."""
    level, told = alert.level, 0
    while level < len(alert.levels) and not told:
        told = _tell(alert, level)
        level += 1
    minutes = alert.levels[level - 1]["minutes"] if level else 0
    further = level < len(alert.levels)
    next_at = Now() + timedelta(minutes=minutes) if further else None
    Alert.objects.filter(pk=alert.pk).update(level=level, next_at=next_at)
    alert.level = level


def _tell(alert: Alert, level: int) -> int:
    members = Membership.objects.filter(
        membership_in_force(),
        clinic_id=alert.clinic_id,
        user_id__in=alert.levels[level]["people"],
        user__is_active=True,
    )
    people = list(members.values_list("user_id", flat=True))
    AlertRecipient.objects.bulk_create(
        [
            AlertRecipient(clinic_id=alert.clinic_id, alert=alert, user_id=user_id, level=level)
            for user_id in people
        ],
        ignore_conflicts=True,
    )
    return len(people)


def _mail(clinic_id: UUID) -> int:
    """Send what is due, one by one; a mail server that does not answer holds up one of them only.

    Claimed first and noted afterwards: at least once, seldom twice.
    """
    sent = 0
    while sent < AT_ONCE and (recipient := _mail_claim(clinic_id)) is not None:
        if not _send(recipient):
            break
        with clinic_scope(clinic_id):
            AlertRecipient.objects.filter(pk=recipient.pk).update(mailed_at=Now(), mail_due_at=None)
        sent += 1
    return sent


def _mail_claim(clinic_id: UUID) -> AlertRecipient | None:
    with clinic_scope(clinic_id):
        due = AlertRecipient.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            mail_due_at__lte=Now()
        )
        recipient = due.select_related("user", "clinic").order_by("mail_due_at").first()
        if recipient is not None:
            last = recipient.mail_attempts + 1 >= MAIL_ATTEMPTS
            AlertRecipient.objects.filter(pk=recipient.pk).update(
                mail_attempts=F("mail_attempts") + 1,
                mail_due_at=None if last else Now() + MAIL_RETRY,
            )
    return recipient


def _send(recipient: AlertRecipient) -> bool:
    """Send a mail that says that there is something, and nothing of the patient."""
    clinic, user = recipient.clinic, recipient.user
    link = settings.BASE_URL.rstrip("/") + reverse("diagnosis:alert-list")
    context = {"clinic": clinic, "link": link}
    with translation.override(mail_language(user=user, clinic=clinic)):
        subject = render_to_string("diagnosis/email/alert_subject.txt", context)
        message = render_to_string("diagnosis/email/alert_message.txt", context)
    try:
        send_mail(" ".join(subject.split()), message, None, [user.email])
    except (SMTPException, OSError) as error:
        extra = {"clinic_id": clinic.pk, "user_id": user.pk, "code": type(error).__name__}
        logger.warning("an alert's e-mail was not sent", extra=extra)
        return False
    return True


def _audit(actor: User | None, action: str, alert: Alert, **details: Any) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=alert.clinic_id,
        target=alert,
        patient_id=alert.study.patient_id,
        study=str(alert.study_id),
        **details,
    )
