"""Machines and archives that send images to a clinic over DICOM, and may ask what is there."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership
from diagnosis.models.base import ClinicOwnedModel


class Device(ClinicOwnedModel):
    """One application entity of one clinic.

    The AE title is a label. A device is recognised by its client certificate, or, where the
    listener lets unencrypted connections in, by its address. It acts with the rights of
    ``membership``, a principal of its own.
    """

    name = models.CharField(_("name"), max_length=100)
    ae_title = models.CharField(_("its AE title"), max_length=16)
    address = models.GenericIPAddressField(_("IP address"), null=True, blank=True, unpack_ipv4=True)
    certificate_sha256 = models.CharField(
        _("SHA-256 of its certificate"), max_length=64, blank=True
    )
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    is_enabled = models.BooleanField(_("in use"), default=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("devices")
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["clinic", "name"], name="device_name_once"),
            # Over all clinics: an image must never have two places to go to.
            models.UniqueConstraint(
                fields=["ae_title", "certificate_sha256"],
                condition=~Q(certificate_sha256=""),
                name="device_certificate_once",
            ),
            models.UniqueConstraint(
                fields=["ae_title", "address"],
                condition=Q(certificate_sha256=""),
                name="device_address_once",
            ),
            models.CheckConstraint(
                name="device_is_recognisable",
                condition=~Q(certificate_sha256="") | Q(address__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name
