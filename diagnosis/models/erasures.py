"""How long a clinic keeps what it has of a patient, what must stay, and what is erased."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
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
from diagnosis.models.patients import Patient


class RetentionPolicy(ClinicOwnedModel):
    """What a clinic has decided; one row a clinic, without one everything is kept for ever.

    Years count from the patient's last visit, which is the day on which the newest study arrived.
    ``reports_years`` binds everybody: a patient whose report was signed less than so many years
    ago is not erased on request either, because the law wants the report kept.
    """

    keep_years = models.PositiveSmallIntegerField(_("years after the last visit"), null=True)
    minors_until_age = models.PositiveSmallIntegerField(_("at least until this age"), default=28)
    reports_years = models.PositiveSmallIntegerField(_("years after a signature"), default=0)
    grace_days = models.PositiveSmallIntegerField(_("days to look at the list"), default=30)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("retention policy")
        verbose_name_plural = _("retention policies")
        constraints = [
            models.UniqueConstraint(fields=["clinic"], name="retention_policy_once"),
            models.CheckConstraint(
                name="retention_policy_in_bounds",
                condition=(Q(keep_years__isnull=True) | Q(keep_years__gte=1, keep_years__lte=100))
                & Q(minors_until_age__lte=100, reports_years__lte=100)
                & Q(grace_days__gte=7, grace_days__lte=365),
            ),
        ]


class RetentionHold(ClinicOwnedModel):
    """A patient who must not be erased (a lawsuit, a study), until somebody lifts it."""

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="holds")
    reason = models.TextField(_("reason"), max_length=500)
    placed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    released_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("legal hold")
        verbose_name_plural = _("legal holds")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["patient"],
                condition=Q(released_at__isnull=True),
                name="retention_hold_one_open",
            ),
            models.CheckConstraint(
                name="retention_hold_released_by_somebody",
                condition=Q(released_at__isnull=True, released_by__isnull=True)
                | Q(released_at__isnull=False, released_by__isnull=False),
            ),
        ]


class Erasure(Job):
    """One promise to erase one patient; it is due at once, or when the policy's grace has ended.

    First one transaction empties all rows and writes ``keys``, what is then to be deleted of the
    object store; then the objects go. ``emptied_at`` tells how far it came: a worker that dies is
    followed by another one, which goes on there.
    """

    class Source(models.TextChoices):
        """Who wants it."""

        REQUEST = "request", _("On request")
        POLICY = "policy", _("By the clinic's policy")
        RESTORE = "restore", _("Again after a restore")

    class Reason(models.TextChoices):
        """Why; no free text, which might say who."""

        PERSON = "person", _("The patient asks for it")
        MISTAKE = "mistake", _("Registered or sent by mistake")
        AUTHORITY = "authority", _("An authority or a court orders it")
        OTHER = "other", _("Another reason, kept in the clinic's files")

    wake_task: ClassVar[str] = "diagnosis.tasks.run_next_erasure"

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="erasures")
    source = models.CharField(max_length=7, choices=Source.choices)
    requested_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(_("reason"), max_length=9, choices=Reason.choices, blank=True)
    emptied_at = models.DateTimeField(null=True, blank=True)
    keys = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    studies = models.PositiveIntegerField(default=0)
    objects_deleted = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        ordering = ["-created_at", "id"]
        constraints = [
            *job_constraints("erasure"),
            choices_check("source", ["request", "policy", "restore"], "erasure_source_known"),
            models.CheckConstraint(
                name="erasure_request_has_reason",
                condition=~Q(source="request")
                | Q(reason__in=["person", "mistake", "authority", "other"]),
            ),
            models.UniqueConstraint(
                fields=["patient"],
                condition=Q(status__in=["queued", "running"]),
                name="erasure_one_open",
            ),
            models.CheckConstraint(
                name="erasure_succeeded_is_whole",
                condition=~Q(status="succeeded") | Q(emptied_at__isnull=False, keys__len=0),
            ),
        ]
        indexes = [
            *job_indexes("erasure"),
            models.Index(fields=["clinic", "-created_at"], name="erasure_newest"),
        ]


class PatientExport(Job):
    """One file with all that there is of one patient, made by a worker, kept for a short time.

    ``progress`` is in percent. The object goes when it expires or when the patient is erased.
    """

    wake_task: ClassVar[str] = "diagnosis.tasks.run_next_patient_export"

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="exports")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    progress = models.PositiveSmallIntegerField(default=0)
    object_key = models.CharField(max_length=200, blank=True, editable=False)
    sha256 = models.CharField(max_length=64, blank=True, editable=False)
    size_bytes = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)
    downloads = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("export of a patient")
        verbose_name_plural = _("exports of patients")
        ordering = ["-created_at", "id"]
        constraints = [
            *job_constraints("patient_export"),
            models.UniqueConstraint(
                fields=["patient"],
                condition=Q(status__in=["queued", "running"]),
                name="patient_export_one_open",
            ),
            models.CheckConstraint(
                name="patient_export_progress_is_percent", condition=Q(progress__lte=100)
            ),
        ]
        indexes = [
            *job_indexes("patient_export"),
            models.Index(
                fields=["expires_at"],
                condition=~Q(object_key=""),
                name="patient_export_expires",
            ),
        ]
