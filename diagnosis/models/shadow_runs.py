"""What a shadow version says about an image that the active one has read."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnosis.models.analyses import Analysis
from diagnosis.models.base import Job, job_constraints, job_indexes
from diagnosis.models.model_versions import ModelVersion
from diagnosis.models.studies import StudyImage, Verdict


class ShadowRun(Job):
    """One run of a shadow version over one image, for comparison only.

    A table of its own: whatever shows an ``Analysis`` to a doctor, to a report, to the API or to
    another system can never meet one of these. ``analysis`` is the active version's result.
    ``boxes`` are x, y, width, height, probability of what it would have shown.
    """

    wake_task: ClassVar[str] = "diagnosis.tasks.run_next_shadow"

    image = models.ForeignKey(StudyImage, on_delete=models.PROTECT, related_name="shadow_runs")
    analysis = models.ForeignKey(Analysis, on_delete=models.PROTECT, related_name="shadow_runs")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=14, choices=Verdict.choices, blank=True)
    probability = models.FloatField(null=True, blank=True)
    boxes = models.JSONField(default=list, blank=True)
    milliseconds = models.FloatField(null=True, blank=True)

    class Meta:
        verbose_name = _("shadow run")
        verbose_name_plural = _("shadow runs")
        constraints = [
            *job_constraints("shadow_run"),
            models.UniqueConstraint(fields=["image", "model_version"], name="shadow_run_once"),
            models.CheckConstraint(
                name="shadow_run_result_iff_succeeded",
                condition=Q(status="succeeded", verdict="cannot_assess", probability__isnull=True)
                | Q(
                    status="succeeded",
                    verdict__in=["definite", "suspicion", "negative"],
                    probability__gte=0.0,
                    probability__lte=1.0,
                )
                | (~Q(status="succeeded") & Q(verdict="", probability__isnull=True)),
            ),
        ]
        indexes = [
            *job_indexes("shadow_run"),
            models.Index(fields=["model_version", "status"], name="shadow_run_of_version"),
        ]
