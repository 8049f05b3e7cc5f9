"""Earlier studies of a patient, fetched from an archive to be compared with."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import Job, job_constraints, job_indexes
from diagnosis.models.deliveries import Destination
from diagnosis.models.studies import Study


class PriorFetch(Job):
    """One promise to fetch one study of an archive, asked for on the page of ``study``.

    The archive is asked again when the job runs; what it says of the patient then must differ
    from our record in nothing but ``confirmed``, which the person who asked has seen. ``prior``
    is the study that the images are filed under. ``skipped`` counts images that were left out,
    by stable code; ``expected`` is how many the archive has of the kinds that are fetched.
    """

    wake_task: ClassVar[str] = "diagnosis.tasks.run_next_prior_fetch"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="prior_fetches")
    source = models.ForeignKey(Destination, on_delete=models.PROTECT, related_name="+")
    study_instance_uid = models.CharField(max_length=64)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    confirmed = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    prior = models.ForeignKey(
        Study, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    expected = models.PositiveIntegerField(null=True, blank=True)
    done = models.PositiveIntegerField(default=0)
    skipped = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("fetch of an earlier study")
        verbose_name_plural = _("fetches of earlier studies")
        ordering = ["-created_at", "id"]
        constraints = [
            *job_constraints("prior_fetch"),
            models.UniqueConstraint(
                fields=["clinic", "study_instance_uid"],
                condition=Q(status__in=Job.OPEN),
                name="prior_fetch_one_open",
            ),
            models.CheckConstraint(
                name="prior_fetch_has_images_iff_succeeded",
                condition=~Q(status="succeeded") | Q(prior__isnull=False, done__gt=0),
            ),
        ]
        indexes = [
            *job_indexes("prior_fetch"),
            models.Index(fields=["study", "-created_at"], name="prior_fetch_of_study"),
        ]

    @property
    def left_out(self) -> int:
        """How many images were not taken."""
        return sum(int(count) for count in self.skipped.values())
