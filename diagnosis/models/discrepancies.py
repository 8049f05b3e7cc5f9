"""Two answers to one study that differ, and what is done about it."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel, choices_check
from diagnosis.models.studies import Study


class Discrepancy(ClinicOwnedModel):
    """Two answers that differ; open until somebody says what came of it.

    ``first`` and ``second`` are the answers in the order of their time: verdicts of the AI,
    ``yes``/``no``/``unsure`` of people.
    """

    erased_at_path: ClassVar[str] = "study__erased_at"

    class Kind(models.TextChoices):
        """Who differs from whom."""

        AI_REPORT = "ai_report", _("AI and signed report")
        READERS = "readers", _("First and second reader")
        PRELIMINARY = "preliminary", _("Preliminary and final report")

    class Severity(models.TextChoices):
        """``major`` could have harmed the patient."""

        UNRATED = "unrated", _("Not rated yet")
        MINOR = "minor", _("Minor")
        MAJOR = "major", _("Matters for the patient")

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="discrepancies")
    kind = models.CharField(max_length=11, choices=Kind.choices)
    version_number = models.PositiveSmallIntegerField()
    first = models.CharField(max_length=14)
    second = models.CharField(max_length=14)
    remark = models.TextField(blank=True, max_length=2000)
    severity = models.CharField(max_length=7, choices=Severity.choices, default=Severity.UNRATED)
    resolution = models.TextField(_("resolution"), blank=True, max_length=2000)
    resolved_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("discrepancy")
        verbose_name_plural = _("discrepancies")
        ordering = ["-created_at"]
        constraints = [
            choices_check(
                "kind", ["ai_report", "readers", "preliminary"], "discrepancy_kind_known"
            ),
            choices_check("severity", ["unrated", "minor", "major"], "discrepancy_severity_known"),
            models.CheckConstraint(
                name="discrepancy_resolved_is_complete",
                condition=Q(resolved_at__isnull=True, resolved_by__isnull=True, resolution="")
                | (
                    Q(resolved_at__isnull=False, resolved_by__isnull=False)
                    & ~Q(resolution="")
                    & ~Q(severity="unrated")
                ),
            ),
        ]
        indexes = [
            models.Index(
                fields=["clinic", "-created_at"],
                condition=Q(resolved_at__isnull=True),
                name="discrepancy_open",
            ),
            models.Index(fields=["study"], name="discrepancy_of_study"),
        ]


class RecallTask(ClinicOwnedModel):
    """A patient who has to be told of a discrepancy; open until somebody has closed it."""

    erased_at_path: ClassVar[str] = "discrepancy__study__erased_at"

    class Outcome(models.TextChoices):
        """How it ended."""

        INFORMED = "informed", _("Patient informed, no visit needed")
        RETURNS = "returns", _("Patient comes back")
        TREATED = "treated", _("Already treated")
        UNREACHABLE = "unreachable", _("Not reachable; letter sent")

    discrepancy = models.OneToOneField(Discrepancy, on_delete=models.PROTECT, related_name="recall")
    opened_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=11, choices=Outcome.choices, blank=True)
    closed_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("recall")
        verbose_name_plural = _("recalls")
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(
                name="recall_closed_is_complete",
                condition=Q(closed_at__isnull=True, closed_by__isnull=True, outcome="")
                | (Q(closed_at__isnull=False, closed_by__isnull=False) & ~Q(outcome="")),
            )
        ]


class RecallContact(ClinicOwnedModel):
    """One attempt to reach the patient; never a telephone number or an address. Never changed."""

    class Way(models.TextChoices):
        """How."""

        PHONE = "phone", _("Telephone")
        LETTER = "letter", _("Letter")
        MESSAGE = "message", _("Message")
        IN_PERSON = "in_person", _("In person")
        OTHER_DOCTOR = "other_doctor", _("Through another doctor")

    class Result(models.TextChoices):
        """With what result."""

        REACHED = "reached", _("Reached")
        NOT_REACHED = "not_reached", _("Not reached")
        SENT = "sent", _("Sent, no answer yet")

    task = models.ForeignKey(RecallTask, on_delete=models.PROTECT, related_name="contacts")
    contacted_at = models.DateTimeField(_("when"))
    way = models.CharField(_("how"), max_length=12, choices=Way.choices)
    result = models.CharField(_("result"), max_length=11, choices=Result.choices)
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        ordering = ["contacted_at", "created_at"]
