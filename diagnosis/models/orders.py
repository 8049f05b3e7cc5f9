"""What a hospital's system ordered."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnosis.models.base import ClinicOwnedModel, choices_check
from diagnosis.models.patients import Patient
from diagnosis.models.studies import Study


class Order(ClinicOwnedModel):
    """One order of an outside system (the *placer*) for one study.

    The study holds what people work with and may correct: patient, question, body part, side,
    priority, accession number (the *filler's* number) and Study Instance UID. The order holds what
    only the outside system says. ``source`` and ``placer_number`` name it for good, so that a
    repeated or late message finds it again; ``told_at`` is the sender's time of the newest message
    that was applied, and older ones change nothing.
    """

    class Status(models.TextChoices):
        """``cancelled`` by the placer before an image arrived; it never comes back."""

        ACTIVE = "active", _("Active")
        CANCELLED = "cancelled", _("Cancelled")

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="orders")
    source = models.CharField(
        max_length=200, help_text="Namespace of the placer's numbers: the sending system"
    )
    placer_number = models.CharField(_("placer order number"), max_length=64)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.ACTIVE)
    procedure_code = models.CharField(max_length=64, blank=True)
    procedure_system = models.CharField(max_length=100, blank=True)
    procedure_text = models.CharField(_("requested procedure"), max_length=200, blank=True)
    modality = models.CharField(max_length=16, default="DX", help_text="DICOM code")
    station_ae_title = models.CharField(max_length=16, blank=True)
    scheduled_at = models.DateTimeField(_("scheduled"), null=True, blank=True)
    requester_name = models.CharField(_("requested by"), max_length=120, blank=True)
    told_at = models.DateTimeField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "source", "placer_number"],
                name="order_placer_number_once_per_sender",
            ),
            choices_check("status", ["active", "cancelled"], "order_status_known"),
            models.CheckConstraint(
                name="order_has_placer_number", condition=~Q(placer_number="") & ~Q(source="")
            ),
        ]
        indexes = [
            models.Index(fields=["clinic", "status", "scheduled_at"], name="order_schedule"),
            models.Index(fields=["study"], name="order_of_study"),
            models.Index(fields=["clinic", "-created_at", "id"], name="order_newest"),
        ]

    @property
    def patient(self) -> Patient:
        """Whose study it is; moves and merges of the study move the order too."""
        return self.study.patient
