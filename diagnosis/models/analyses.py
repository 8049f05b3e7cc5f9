"""One run of one model version over one image, and what it found."""

from typing import ClassVar
from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import (
    ClinicOwnedModel,
    Job,
    choices_check,
    job_constraints,
    job_indexes,
)
from diagnosis.models.model_versions import ModelVersion
from diagnosis.models.studies import StudyImage, Verdict


class Analysis(Job):
    """The row is the job; when it has succeeded it is also the result of one image.

    ``probability`` is null exactly when the verdict is ``cannot_assess``; the
    ``reasons`` then say why (quality gate, or no model for the modality).
    Identity of model, thresholds and calibration are copied in, so that a new
    model never changes an old result.
    """

    wake_task: ClassVar[str] = "diagnosis.tasks.run_next_analysis"

    image = models.ForeignKey(StudyImage, on_delete=models.PROTECT, related_name="analyses")
    requested_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    verdict = models.CharField(max_length=14, choices=Verdict.choices, blank=True)
    probability = models.FloatField(
        null=True, blank=True, help_text="Calibrated probability of a fracture, 0 to 1"
    )
    region = models.CharField(max_length=20, blank=True)
    region_probability = models.FloatField(null=True, blank=True)
    severity = models.CharField(max_length=12, blank=True)
    reasons = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    warnings = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    thresholds = models.JSONField(default=dict, blank=True)
    preprocessing_version = models.CharField(max_length=40, blank=True)
    calibration_id = models.CharField(max_length=60, blank=True)
    timings_ms = models.JSONField(default=dict, blank=True)
    heatmap_key = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        verbose_name = _("analysis")
        verbose_name_plural = _("analyses")
        constraints = [
            *job_constraints("analysis"),
            models.CheckConstraint(
                name="analysis_result_iff_succeeded",
                condition=Q(status="succeeded", model_version__isnull=False)
                & (
                    Q(verdict="cannot_assess", probability__isnull=True)
                    | Q(
                        verdict__in=["definite", "suspicion", "negative"],
                        probability__gte=0.0,
                        probability__lte=1.0,
                    )
                )
                | (~Q(status="succeeded") & Q(verdict="", probability__isnull=True)),
            ),
            models.UniqueConstraint(
                fields=["image"],
                name="analysis_one_open_per_image",
                condition=Q(status__in=["queued", "running"]),
            ),
        ]
        indexes = [
            *job_indexes("analysis"),
            # Whose turn it is: the clinic whose last job began longest ago.
            models.Index(
                fields=["clinic", "started_at"],
                name="analysis_turn",
                condition=Q(started_at__isnull=False),
            ),
            # Rows end about in the order in which they came: monitoring reads the newest pages.
            BrinIndex(fields=["finished_at"], name="analysis_finished", autosummarize=True),
            models.Index(fields=["image", "-created_at"]),
            models.Index(fields=["clinic", "created_at"], name="analysis_of_days"),
        ]


class Finding(ClinicOwnedModel):
    """One place in one image that looks broken, in pixels of the image (origin top left).

    ``uid`` is the DICOM tracking UID that every carrier of this finding repeats.
    Type, displacement and severity are experimental readings, blank when not given.
    """

    class Certainty(models.TextChoices):
        """Solid or dashed box."""

        DEFINITE = "definite", _("Definite")
        SUSPICION = "suspicion", _("Suspicion")

    analysis = models.ForeignKey(Analysis, on_delete=models.PROTECT, related_name="findings")
    uid = models.UUIDField(default=uuid4, unique=True, editable=False)
    x = models.FloatField()
    y = models.FloatField()
    width = models.FloatField()
    height = models.FloatField()
    probability = models.FloatField()
    certainty = models.CharField(max_length=10, choices=Certainty.choices)
    fracture_type = models.CharField(max_length=20, blank=True)
    displacement = models.CharField(max_length=20, blank=True)
    severity = models.CharField(max_length=12, blank=True)

    class Meta:
        ordering = ["-probability", "id"]
        constraints = [
            models.CheckConstraint(
                name="finding_box_has_area",
                condition=Q(x__gte=0, y__gte=0, width__gt=0, height__gt=0),
            ),
            models.CheckConstraint(
                name="finding_probability_is_one",
                condition=Q(probability__gte=0.0, probability__lte=1.0),
            ),
            choices_check("certainty", ["definite", "suspicion"], "finding_certainty_known"),
        ]
        indexes = [models.Index(fields=["analysis"])]
