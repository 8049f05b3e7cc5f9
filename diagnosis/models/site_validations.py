"""A model version measured against a clinic's own signed reports."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import Job, job_constraints, job_indexes
from diagnosis.models.model_versions import ModelVersion


class SiteValidation(Job):
    """One comparison of a model version with the reports of studies that arrived on some days.

    A job, because intervals take a while; ``progress`` is in percent. ``result`` is the JSON that
    ``services.validation_runs`` stores: figures with intervals, counts, and ids of missed studies.
    It is never computed again: what a clinic decided upon stays as it was seen.
    """

    wake_task: ClassVar[str] = "diagnosis.tasks.run_next_validation"

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    first = models.DateField(_("first day"))
    last = models.DateField(_("last day"))
    progress = models.PositiveSmallIntegerField(default=0)
    result = models.JSONField(null=True, blank=True)

    class Meta:
        verbose_name = _("site validation")
        verbose_name_plural = _("site validations")
        ordering = ["-created_at", "id"]
        constraints = [
            *job_constraints("site_validation"),
            models.UniqueConstraint(
                fields=["clinic", "model_version"],
                condition=Q(status__in=["queued", "running"]),
                name="site_validation_one_open",
            ),
            models.CheckConstraint(
                name="site_validation_result_iff_succeeded",
                condition=Q(status="succeeded", result__isnull=False)
                | (~Q(status="succeeded") & Q(result__isnull=True)),
            ),
            models.CheckConstraint(
                name="site_validation_days_ordered", condition=Q(first__lte=F("last"))
            ),
            models.CheckConstraint(
                name="site_validation_progress_is_percent", condition=Q(progress__lte=100)
            ),
        ]
        indexes = [
            *job_indexes("site_validation"),
            models.Index(fields=["clinic", "-created_at"], name="site_validation_newest"),
        ]
