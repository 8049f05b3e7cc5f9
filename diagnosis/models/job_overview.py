"""The operator's view of all clinics' jobs: states and times, nothing of a patient."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from diagnosis.models.base import Job, Priority


class JobOverview(models.Model):
    """A database view owned by the lookup role; read-only, ids and states only."""

    id = models.UUIDField(primary_key=True)
    clinic = models.ForeignKey(
        "accounts.Clinic", on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    status = models.CharField(max_length=10, choices=Job.Status.choices)
    priority = models.PositiveSmallIntegerField(choices=Priority.choices)
    attempts = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=40)
    kind = models.CharField(
        max_length=20,
        choices=[
            ("analysis", _("Analysis")),
            ("delivery", _("Delivery")),
            ("shadowrun", _("Shadow run")),
            ("priorfetch", _("Earlier study from the archive")),
            ("sitevalidation", _("Site validation")),
            ("erasure", _("Erasure of a patient")),
            ("patientexport", _("Export of a patient")),
        ],
    )

    class Meta:
        managed = False
        db_table = "diagnosis_job_overview"
        verbose_name = "job"
        verbose_name_plural = "jobs"

    def __str__(self) -> str:
        return str(self.pk)
