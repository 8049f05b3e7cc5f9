"""A clinic's decision to let its signed corrections leave as a training set."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel


class TrainingConsent(ClinicOwnedModel):
    """One period of consent; without an open one nothing is exported.

    Withdrawing stops further exports. It cannot call back a set that was handed over.
    """

    granted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    withdrawn_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("consent to training sets")
        verbose_name_plural = _("consents to training sets")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic"],
                condition=Q(withdrawn_at__isnull=True),
                name="training_consent_one_open",
            ),
            models.CheckConstraint(
                name="training_consent_withdrawn_by_someone",
                condition=Q(withdrawn_at__isnull=True, withdrawn_by__isnull=True)
                | Q(withdrawn_at__isnull=False, withdrawn_by__isnull=False),
            ),
        ]
