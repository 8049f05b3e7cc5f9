"""What doctors decided about findings, and the ones they added."""

from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.analyses import Finding
from diagnosis.models.base import ClinicOwnedModel, choices_check
from diagnosis.models.studies import StudyImage
from diagnosis.models.vocabulary import (
    Bone,
    Displacement,
    FractureType,
    Laterality,
    RejectReason,
    Severity,
)

DESCRIPTION = ("fracture_type", "displacement", "severity", "bone", "laterality")


class FindingReview(ClinicOwnedModel):
    """One decision of a doctor about one finding; rows are never changed.

    ``uid`` names the finding: the AI finding's own, or a new one for a finding that a
    doctor added (``finding`` is null then). ``number`` counts the decisions about it; the
    highest is in force and repeats everything, so that the AI's row stays as it was.
    ``withdrawn`` takes the decision back: the AI's finding is a proposal again, an added
    one is gone. Box: pixels of the image, origin top left.
    """

    class Decision(models.TextChoices):
        """``moved`` is accepted with another box."""

        ACCEPTED = "accepted", _("Accepted")
        REJECTED = "rejected", _("Rejected")
        MOVED = "moved", _("Moved")
        ADDED = "added", _("Added")
        WITHDRAWN = "withdrawn", _("Taken back")

    image = models.ForeignKey(StudyImage, on_delete=models.PROTECT, related_name="finding_reviews")
    finding = models.ForeignKey(
        Finding, null=True, blank=True, on_delete=models.PROTECT, related_name="reviews"
    )
    uid = models.UUIDField(default=uuid4, editable=False)
    number = models.PositiveIntegerField(default=1)
    decision = models.CharField(max_length=9, choices=Decision.choices)
    x = models.FloatField()
    y = models.FloatField()
    width = models.FloatField()
    height = models.FloatField()
    fracture_type = models.CharField(
        _("type"), max_length=20, choices=FractureType.choices, blank=True
    )
    displacement = models.CharField(
        _("displacement"), max_length=20, choices=Displacement.choices, blank=True
    )
    severity = models.CharField(_("severity"), max_length=12, choices=Severity.choices, blank=True)
    bone = models.CharField(_("bone"), max_length=12, choices=Bone.choices, blank=True)
    laterality = models.CharField(_("side"), max_length=5, choices=Laterality.choices, blank=True)
    reject_reason = models.CharField(
        _("reason"), max_length=14, choices=RejectReason.choices, blank=True
    )
    reject_text = models.TextField(_("remark"), blank=True, max_length=500)
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("finding review")
        verbose_name_plural = _("finding reviews")
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "uid", "number"], name="finding_review_numbered"
            ),
            choices_check(
                "decision",
                ["accepted", "rejected", "moved", "added", "withdrawn"],
                "finding_review_decision_known",
            ),
            models.CheckConstraint(
                name="finding_review_added_iff_no_ai_row",
                condition=Q(finding__isnull=True, decision__in=["added", "withdrawn"])
                | Q(
                    finding__isnull=False,
                    decision__in=["accepted", "rejected", "moved", "withdrawn"],
                ),
            ),
            models.CheckConstraint(
                name="finding_review_reason_iff_rejected",
                condition=Q(decision="rejected") & ~Q(reject_reason="")
                | (~Q(decision="rejected") & Q(reject_reason="", reject_text="")),
            ),
            models.CheckConstraint(
                name="finding_review_box_has_area",
                condition=Q(x__gte=0, y__gte=0, width__gt=0, height__gt=0),
            ),
        ]
        indexes = [
            models.Index(fields=["image", "uid", "-number"], name="finding_review_newest"),
            models.Index(fields=["finding"], name="finding_review_of_finding"),
        ]
