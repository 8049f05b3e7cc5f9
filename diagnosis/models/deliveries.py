"""Where results go, and the promises to send them there."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnosis.models.base import (
    ClinicOwnedModel,
    Job,
    job_constraints,
    job_indexes,
)
from diagnosis.models.studies import Study


class Event(models.TextChoices):
    """What can make a clinic send something."""

    RESULT_READY = "result.ready", _("The AI result is there (preliminary)")
    REPORT_SIGNED = "report.signed", _("A report or an amendment was signed")
    MODEL_RECALLED = "model.recalled", _("A model was recalled that read the images (webhooks)")


class Content(models.TextChoices):
    """What a destination gets of a study."""

    SR = "sr", _("Structured report (DICOM SR)")
    PRESENTATION = "presentation", _("Boxes that can be hidden (DICOM presentation states)")
    CAPTURE = "capture", _("Pictures with boxes (DICOM secondary capture)")
    PDF = "pdf", _("Signed report (PDF in DICOM)")
    IMAGES = "images", _("Images that did not come as DICOM")


class Destination(ClinicOwnedModel):
    """A system of the clinic's world that gets results, or is asked for earlier studies.

    Which of the fields are needed depends on the kind: ``host``, ``port`` and AE titles, or
    ``url``. ``secrets`` is sealed JSON (see ``fracture_site.common.sealing``): a bearer token,
    a client certificate with its key, the certificates to trust. ``options`` is the kind's own.
    """

    class Kind(models.TextChoices):
        """How the peer is spoken to."""

        DICOM_CSTORE = "dicom_cstore", _("DICOM (C-STORE)")
        DICOM_STOW = "dicom_stow", _("DICOMweb (STOW-RS)")
        HL7_MLLP = "hl7_mllp", _("HL7 v2 (MLLP)")
        WEBHOOK = "webhook", _("Webhook")

    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    host = models.CharField(_("host"), max_length=253, blank=True)
    port = models.PositiveIntegerField(_("port"), null=True, blank=True)
    called_ae_title = models.CharField(_("its AE title"), max_length=16, blank=True)
    calling_ae_title = models.CharField(_("our AE title"), max_length=16, blank=True)
    url = models.CharField(_("address"), max_length=500, blank=True)
    use_tls = models.BooleanField(_("encrypted (TLS)"), default=False)
    events = ArrayField(
        models.CharField(max_length=30, choices=Event.choices), verbose_name=_("when"), default=list
    )
    contents = ArrayField(
        models.CharField(max_length=20, choices=Content.choices),
        verbose_name=_("what"),
        default=list,
        blank=True,
    )
    options = models.JSONField(default=dict, blank=True)
    secrets = models.BinaryField(default=b"", editable=False)
    finds_priors = models.BooleanField(_("earlier studies are looked up here"), default=False)
    is_enabled = models.BooleanField(_("in use"), default=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("destination")
        verbose_name_plural = _("destinations")
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["clinic", "name"], name="destination_name_once"),
            models.CheckConstraint(
                name="destination_has_address",
                condition=Q(
                    ~Q(host=""), kind__in=["dicom_cstore", "hl7_mllp"], port__range=(1, 65535)
                )
                | Q(~Q(url=""), kind__in=["dicom_stow", "webhook"]),
            ),
            models.CheckConstraint(
                name="destination_can_find_priors",
                condition=Q(finds_priors=False) | Q(kind__in=["dicom_cstore", "dicom_stow"]),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Delivery(Job):
    """One promise to tell one destination of one event; what is sent is built when it is sent.

    The subject names what happened (id of the signed version, digest of the result), so that an
    event is promised once to a destination. ``number`` orders the deliveries of a study to a
    destination: a later one waits while an earlier one is open, and two never run at once.
    """

    erased_at_path: ClassVar[str] = "study__erased_at"

    wake_task: ClassVar[str] = "diagnosis.tasks.run_next_delivery"

    destination = models.ForeignKey(
        Destination, on_delete=models.PROTECT, related_name="deliveries"
    )
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="deliveries")
    event = models.CharField(max_length=30, choices=Event.choices)
    subject = models.CharField(max_length=64)
    number = models.PositiveIntegerField()
    # Random ids of what was sent (DICOM UIDs, message control ids): proof, and nothing of a person.
    sent = models.JSONField(default=list, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-created_at", "id"]
        constraints = [
            *job_constraints("delivery"),
            models.UniqueConstraint(
                fields=["destination", "event", "subject"], name="delivery_once"
            ),
            models.UniqueConstraint(
                fields=["study", "destination", "number"], name="delivery_order"
            ),
        ]
        indexes = [
            *job_indexes("delivery"),
            models.Index(fields=["clinic", "-created_at", "id"], name="delivery_newest"),
        ]
