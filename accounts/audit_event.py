"""The audit event: one row of the trail, written once."""

from typing import Any, NoReturn

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class AuditEvent(models.Model):
    """One action of a principal; rows are written once and never changed.

    The application role may insert and read only, and triggers refuse updates,
    deletes and truncation for every role. Holds ids and states only, so that a
    patient can be erased while the trail stays.

    An event arrives with its ``proof`` and without a place. Sealing
    (``accounts.audit_chain``) gives it the next ``place`` in the chain of its clinic, a
    ``digest`` over itself and all before it, and a proof of that: the one change that the
    triggers let through.
    """

    class Outcome(models.TextChoices):
        """Whether the action was carried out."""

        SUCCESS = "success", _("Success")
        DENIED = "denied", _("Denied")
        FAILED = "failed", _("Failed")

    at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)
    actor = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    token_id = models.UUIDField(null=True)
    clinic = models.ForeignKey(
        "accounts.Clinic", null=True, on_delete=models.PROTECT, related_name="+"
    )
    action = models.CharField(max_length=60)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.SUCCESS)
    target_type = models.CharField(max_length=60, blank=True)
    target_id = models.UUIDField(null=True)
    patient_id = models.UUIDField(null=True)
    details = models.JSONField(default=dict)
    proof = models.BinaryField(max_length=32, editable=False, default=bytes)
    place = models.PositiveBigIntegerField(null=True, editable=False)
    digest = models.BinaryField(max_length=32, null=True, editable=False)

    class Meta:
        app_label = "accounts"
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        indexes = [
            models.Index(fields=["clinic", "-id"]),
            models.Index(fields=["target_id"]),
            models.Index(fields=["clinic", "patient_id"]),
            models.Index(
                fields=["clinic", "id"], condition=Q(place__isnull=True), name="audit_waiting"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "place"],
                condition=Q(place__isnull=False),
                nulls_distinct=False,
                name="audit_place_once",
            ),
            models.CheckConstraint(
                condition=Q(place__isnull=True, digest__isnull=True)
                | Q(place__gte=1, digest__isnull=False),
                name="audit_place_with_digest",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.action}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert only."""
        if not self._state.adding:
            raise TypeError("audit events are append-only")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Never; retention is a database job with its own role."""
        raise TypeError("audit events are append-only")
