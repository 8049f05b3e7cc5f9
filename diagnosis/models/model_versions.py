"""The registered model artifacts."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fracture_site.common.models import UUIDModel


class ModelVersion(UUIDModel):
    """A registered model artifact: identity, thresholds, calibration, metrics.

    Site-wide, not clinic-owned: it holds nothing of any patient. Exactly one
    row is active; results keep the version that made them.
    """

    name = models.CharField(_("name"), max_length=100)
    version = models.CharField(_("version"), max_length=40)
    # Not unique: the same weights with other thresholds or calibration are another version.
    sha256 = models.CharField(max_length=64, db_index=True)
    preprocessing_version = models.CharField(max_length=40)
    calibration_id = models.CharField(max_length=60)
    threshold_suspicion = models.FloatField()
    threshold_definite = models.FloatField()
    manifest = models.JSONField(default=dict)
    is_active = models.BooleanField(_("active"), default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="model_version_once"),
            models.UniqueConstraint(
                fields=["is_active"], condition=Q(is_active=True), name="model_version_one_active"
            ),
            models.CheckConstraint(
                name="model_version_thresholds_ordered",
                condition=Q(
                    threshold_suspicion__gt=0,
                    threshold_definite__gte=models.F("threshold_suspicion"),
                    threshold_definite__lt=1,
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
