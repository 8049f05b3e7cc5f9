"""What a reader draws on an image for themselves, and pictures kept for the report."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel, choices_check
from diagnosis.models.studies import StudyImage


class Annotation(ClinicOwnedModel):
    """One measurement or note of one user on one frame of an image.

    ``points`` are ``[x, y]`` in pixels of the image, origin top left; values are worked out
    from them when shown, with the spacing that holds then. A ``calibration`` is a line over
    an object whose true length is ``millimetres``; a user has at most one an image.
    ``revision`` counts saves: a client names the one it has read.
    """

    class Kind(models.TextChoices):
        """What is drawn."""

        LENGTH = "length", _("Length")
        ANGLE = "angle", _("Angle")
        COBB = "cobb", _("Cobb angle")
        ELLIPSE = "ellipse", _("Ellipse")
        RECTANGLE = "rectangle", _("Rectangle")
        PROBE = "probe", _("Value")
        ARROW = "arrow", _("Arrow")
        TEXT = "text", _("Note")
        CALIBRATION = "calibration", _("Calibration")

    POINTS: ClassVar[dict[str, int]] = {
        Kind.LENGTH: 2,
        Kind.ANGLE: 3,
        Kind.COBB: 4,
        Kind.ELLIPSE: 4,
        Kind.RECTANGLE: 4,
        Kind.PROBE: 1,
        Kind.ARROW: 2,
        Kind.TEXT: 1,
        Kind.CALIBRATION: 2,
    }

    image = models.ForeignKey(StudyImage, on_delete=models.PROTECT, related_name="annotations")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=11, choices=Kind.choices)
    frame = models.PositiveIntegerField(default=0)
    points = models.JSONField()
    text = models.CharField(max_length=500, blank=True)
    millimetres = models.FloatField(null=True, blank=True)
    revision = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("annotation")
        verbose_name_plural = _("annotations")
        ordering = ["created_at", "id"]
        constraints = [
            choices_check(
                "kind",
                [
                    "length",
                    "angle",
                    "cobb",
                    "ellipse",
                    "rectangle",
                    "probe",
                    "arrow",
                    "text",
                    "calibration",
                ],
                "annotation_kind_known",
            ),
            models.CheckConstraint(
                name="annotation_millimetres_iff_calibration",
                condition=Q(kind="calibration", millimetres__gt=0)
                | (~Q(kind="calibration") & Q(millimetres__isnull=True)),
            ),
            models.UniqueConstraint(
                fields=["image", "author"],
                condition=Q(kind="calibration"),
                name="annotation_one_calibration",
            ),
        ]
        indexes = [models.Index(fields=["image", "author"], name="annotation_of_reader")]


class StudyKeyImage(ClinicOwnedModel):
    """A picture of the viewer, with what was drawn over it, kept for the report.

    Never changed; one that is not wanted is deleted as long as no signed report shows it.
    """

    image = models.ForeignKey(StudyImage, on_delete=models.PROTECT, related_name="key_images")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    caption = models.CharField(_("caption"), max_length=200, blank=True)
    object_key = models.CharField(max_length=200, editable=False)
    sha256 = models.CharField(max_length=64, editable=False)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("key image")
        verbose_name_plural = _("key images")
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["image"], name="key_image_of_image")]
