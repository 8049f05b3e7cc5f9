"""The registered model artifacts, what they cover, and who changed their part when."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from fracture_site.common.models import UUIDModel


class ModelVersion(UUIDModel):
    """A registered model artifact: identity, thresholds, calibration, metrics, coverage.

    Site-wide, not clinic-owned: it holds nothing of any patient. Results keep the version that
    made them. The files lie in object storage under their sha256; ``manifest`` is the whole
    manifest, so that any worker host can put the model folder together.

    Legal moves of ``stage`` (``services.model_stages`` is the only code that makes them)::

        REGISTERED -> SHADOW | ACTIVE        SHADOW -> REGISTERED | ACTIVE
        ACTIVE -> REGISTERED                 (replaced, rolled back or recalled)

    Several versions may be active as long as no image is covered by two of them. A recalled
    version stays registered for ever.
    """

    class Stage(models.TextChoices):
        """What the version does at the moment."""

        REGISTERED = "registered", _("Not in use")
        SHADOW = "shadow", _("Shadow")
        ACTIVE = "active", _("Active")

    name = models.CharField(_("name"), max_length=100)
    version = models.CharField(_("version"), max_length=40)
    # Not unique: the same weights with other thresholds or calibration are another version.
    sha256 = models.CharField(max_length=64, db_index=True)
    preprocessing_version = models.CharField(max_length=40)
    calibration_id = models.CharField(max_length=60)
    threshold_suspicion = models.FloatField()
    threshold_definite = models.FloatField()
    manifest = models.JSONField(default=dict)
    card = models.TextField(_("model card"), blank=True, help_text="Markdown, never trusted")
    stage = models.CharField(max_length=10, choices=Stage.choices, default=Stage.REGISTERED)
    modalities = ArrayField(
        models.CharField(max_length=16),
        default=list,
        help_text="DICOM modalities; photo is a picture file that names none",
    )
    body_regions = ArrayField(
        models.CharField(max_length=12),
        default=list,
        blank=True,
        help_text="Body parts of the request; empty covers all",
    )
    age_min = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Years, included")
    age_max = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Years, included")
    recalled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="model_version_once"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(stage="active"), name="model_version_one_active_a_name"
            ),
            models.CheckConstraint(
                name="model_version_stage_known",
                condition=Q(stage__in=["registered", "shadow", "active"]),
            ),
            models.CheckConstraint(
                name="model_version_recalled_is_out_of_use",
                condition=Q(recalled_at__isnull=True) | Q(stage="registered"),
            ),
            models.CheckConstraint(
                name="model_version_ages_ordered",
                condition=Q(age_min__isnull=True)
                | Q(age_max__isnull=True)
                | Q(age_min__lte=F("age_max")),
            ),
            models.CheckConstraint(
                name="model_version_thresholds_ordered",
                condition=Q(
                    threshold_suspicion__gt=0,
                    threshold_definite__gte=F("threshold_suspicion"),
                    threshold_definite__lt=1,
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def is_active(self) -> bool:
        """Whether new images are read by it."""
        return self.stage == self.Stage.ACTIVE

    @property
    def is_recalled(self) -> bool:
        """Whether its results may not be relied on."""
        return self.recalled_at is not None


class ModelChange(models.Model):
    """One change of a version's part; append-only, newest has the highest number.

    The highest number is the revision that people act on: a change that was decided on an older
    one is refused. ``replaced`` are the versions that an activation put out of use; a roll-back
    puts them back and points to the activation with ``undoes``.
    """

    class Kind(models.TextChoices):
        """What happened."""

        REGISTER = "register", _("Registered")
        SHADOW = "shadow", _("Shadow started")
        UNSHADOW = "unshadow", _("Shadow ended")
        ACTIVATE = "activate", _("Activated")
        ROLLBACK = "rollback", _("Rolled back")
        RECALL = "recall", _("Recalled")

    id = models.BigAutoField(primary_key=True)
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="changes"
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    reason = models.CharField(max_length=500, blank=True)
    replaced = ArrayField(models.UUIDField(), default=list, blank=True)
    undoes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="undone_by"
    )
    # Null: a command or a worker.
    actor = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("model change")
        verbose_name_plural = _("model changes")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
