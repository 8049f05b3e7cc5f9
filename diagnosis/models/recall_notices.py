"""What a doctor is told when a model that read for them is recalled."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel
from diagnosis.models.model_versions import ModelChange


class RecallNotice(ClinicOwnedModel):
    """One recall, one doctor of one clinic: how much is concerned, and whether they have seen it.

    ``mailed_at`` is null until the mail server took the message; ``manage.py model_recall`` for
    the same version sends what is missing. Neither row nor mail says anything of a patient.
    """

    change = models.ForeignKey(ModelChange, on_delete=models.PROTECT, related_name="notices")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    results = models.PositiveIntegerField()
    reports = models.PositiveIntegerField()
    mailed_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("recall notice")
        verbose_name_plural = _("recall notices")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["clinic", "change", "user"], name="recall_notice_once"),
        ]
        indexes = [
            models.Index(
                fields=["user"], name="recall_notice_unseen", condition=models.Q(seen_at=None)
            )
        ]
