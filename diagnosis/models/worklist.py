"""Who is reading a study now, a person's saved filters, and the clinic's rules for the list."""

from datetime import timedelta
from uuid import uuid4

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel, Priority
from diagnosis.models.studies import Study


def claim_in_force(prefix: str = "") -> Q:
    """Return the condition of claims whose doctor was active lately, by the database's clock."""
    timeout: timedelta = settings.STUDY_CLAIM_TIMEOUT
    return Q(**{f"{prefix}seen_at__gt": Now() - timeout})


class StudyClaim(ClinicOwnedModel):
    """A doctor is reading this study now: at most one row a study, whoever is faster.

    The claim ends when it is released, when the report is signed, when a colleague takes it
    over, or by itself after ``STUDY_CLAIM_TIMEOUT`` without activity (then the row may stay
    until the next claim). ``token`` is renewed by each claim, so that a page that is left
    cannot release what a newer page holds.
    """

    study = models.OneToOneField(Study, on_delete=models.PROTECT, related_name="claim")
    doctor = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    token = models.UUIDField(default=uuid4, editable=False)
    claimed_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("claim")
        verbose_name_plural = _("claims")
        indexes = [models.Index(fields=["clinic", "doctor"], name="study_claim_of_doctor")]


class SavedFilter(ClinicOwnedModel):
    """A person's named filter of the worklist; never a searched name."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("name"), max_length=40)
    filters = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "user", "name"], name="saved_filter_name_once_per_person"
            )
        ]


class ClinicRules(ClinicOwnedModel):
    """What a clinic has decided about reading: targets, expected views, critical results.

    One row a clinic, made by the first change; ``diagnosis.selectors.rules`` fills what is
    missing from defaults. ``targets`` maps priorities and verdicts to minutes; ``views`` maps
    body parts to the projections that are expected. ``critical_levels`` is who is told first,
    and who next when nobody has answered in time: ``[{"people": [user ids], "minutes": 15}]``.
    """

    targets = models.JSONField(default=dict)
    views = models.JSONField(default=dict)
    critical_enabled = models.BooleanField(default=False)
    critical_regions = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    critical_severities = ArrayField(models.CharField(max_length=12), default=list, blank=True)
    critical_priority = models.PositiveSmallIntegerField(
        choices=Priority.choices, default=Priority.ROUTINE
    )
    critical_levels = models.JSONField(default=list)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("reading rules")
        verbose_name_plural = _("reading rules")
        constraints = [
            models.UniqueConstraint(fields=["clinic"], name="clinic_rules_once"),
        ]
