"""Answers of people: before they saw the AI's, and before the final report."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel, choices_check
from diagnosis.models.studies import Study


class FractureAnswer(models.TextChoices):
    """Is there a fracture?"""

    YES = "yes", _("Fracture")
    NO = "no", _("No fracture")
    UNSURE = "unsure", _("Unsure")


class FirstRead(ClinicOwnedModel):
    """What a reader said before the AI's result was shown to them; rows never change.

    ``places`` are the boxes they marked: image id, and x, y, width, height in pixels.
    """

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="first_reads")
    reader = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=6, choices=FractureAnswer.choices)
    places = models.JSONField(default=list, blank=True)

    class Meta:
        verbose_name = _("first read")
        verbose_name_plural = _("first reads")
        constraints = [
            models.UniqueConstraint(fields=["study", "reader"], name="first_read_once"),
            choices_check("answer", ["yes", "no", "unsure"], "first_read_answer_known"),
        ]


class MindChange(ClinicOwnedModel):
    """A reader's final answer beside the first one; rows never change."""

    first = models.ForeignKey(FirstRead, on_delete=models.PROTECT, related_name="finals")
    version_number = models.PositiveSmallIntegerField()
    final = models.CharField(max_length=6, choices=FractureAnswer.choices)
    changed = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["first", "version_number"], name="mind_change_once"),
            choices_check("final", ["yes", "no", "unsure"], "mind_change_answer_known"),
        ]


class PreliminaryRead(ClinicOwnedModel):
    """A quick answer of the treating doctor until the final report; rows never change."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="preliminary_reads")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(_("answer"), max_length=6, choices=FractureAnswer.choices)
    note = models.TextField(_("note"), blank=True, max_length=1000)

    class Meta:
        verbose_name = _("preliminary read")
        verbose_name_plural = _("preliminary reads")
        ordering = ["created_at"]
        constraints = [
            choices_check("answer", ["yes", "no", "unsure"], "preliminary_answer_known"),
        ]
