"""Critical results: who was told, when the next people are, and who has answered."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel
from diagnosis.models.studies import Study


class Alert(ClinicOwnedModel):
    """A result that named people must know of; once a study, however often it is analysed.

    ``levels`` are the clinic's rules as they were: who is told first, who next, after how many
    minutes. ``level`` counts the levels that were told. ``next_at`` is when the next one is,
    by the database's clock; null once somebody has answered or nobody is left.
    """

    erased_at_path: ClassVar[str] = "study__erased_at"

    study = models.OneToOneField(Study, on_delete=models.PROTECT, related_name="alert")
    levels = models.JSONField(default=list)
    level = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.CheckConstraint(
                name="alert_acknowledged_by_somebody",
                condition=Q(acknowledged_at__isnull=True, acknowledged_by__isnull=True)
                | Q(
                    acknowledged_at__isnull=False,
                    acknowledged_by__isnull=False,
                    next_at__isnull=True,
                ),
            ),
        ]
        indexes = [
            models.Index(F("next_at"), condition=Q(next_at__isnull=False), name="alert_due"),
            models.Index(fields=["clinic", "-created_at", "id"], name="alert_newest"),
        ]


class AlertRecipient(ClinicOwnedModel):
    """A person who was told, once an alert; the e-mail to them is a promise until it is sent."""

    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, related_name="recipients")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    level = models.PositiveSmallIntegerField()
    mail_due_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    mail_attempts = models.PositiveSmallIntegerField(default=0)
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["alert", "user"], name="alert_recipient_once")
        ]
        indexes = [
            models.Index(
                F("mail_due_at"), condition=Q(mail_due_at__isnull=False), name="alert_mail_due"
            ),
            models.Index(fields=["clinic", "user"], name="alert_recipient_user"),
        ]
