"""Systems that send HL7 version 2 messages, and the record of what they sent."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership
from diagnosis.models.base import ClinicOwnedModel, choices_check

CHARACTER_SETS: dict[str, str] = {
    "": "utf-8",  # what most systems send that say nothing; ASCII is a part of it
    "ASCII": "ascii",
    "8859/1": "iso-8859-1",
    "8859/2": "iso-8859-2",
    "8859/5": "iso-8859-5",
    "8859/6": "iso-8859-6",
    "8859/7": "iso-8859-7",
    "8859/8": "iso-8859-8",
    "8859/9": "iso-8859-9",
    "8859/15": "iso-8859-15",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "GB 18030-2000": "gb18030",
}


class Hl7Sender(ClinicOwnedModel):
    """One system that may send orders and patient data to one clinic.

    It is recognised by MSH-3 and MSH-4 *and* by its network or its TLS certificate, and acts with
    the rights of ``membership``: what that member may not do is refused. Only the site's operator
    makes these rows (``manage.py hl7_sender``), because the names are shared by all clinics.
    """

    name = models.CharField(max_length=100)
    sending_application = models.CharField(max_length=180, help_text="MSH-3.1")
    sending_facility = models.CharField(max_length=180, blank=True, help_text="MSH-4.1")
    networks = ArrayField(
        models.CharField(max_length=43), default=list, blank=True, help_text="10.1.2.0/24, ::1/128"
    )
    certificate_sha256 = models.CharField(
        max_length=64, blank=True, help_text="Digest of the client certificate (DER)"
    )
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    assigning_authority = models.CharField(
        max_length=100,
        blank=True,
        help_text="PID-3.4 of the clinic's record numbers; blank takes the only number there is",
    )
    character_set = models.CharField(
        max_length=20, blank=True, help_text="When MSH-18 is empty; as MSH-18 spells it"
    )
    procedures = models.JSONField(
        default=dict,
        blank=True,
        help_text='OBR-4.1 to {"body_part", "side", "modality"}, each optional',
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "sending_application", "sending_facility"],
                name="hl7_sender_once_per_clinic",
            ),
            models.CheckConstraint(
                name="hl7_sender_is_recognisable",
                condition=Q(networks__len__gt=0) | ~Q(certificate_sha256=""),
            ),
            choices_check("character_set", list(CHARACTER_SETS), "hl7_sender_character_set_known"),
        ]

    @property
    def source(self) -> str:
        """The namespace of this sender's order numbers."""
        return f"hl7:{self.sending_application}|{self.sending_facility}"[:200]


class Hl7Message(ClinicOwnedModel):
    """That a message came, and what became of it. Its content is not kept.

    ``content_hmac`` tells a repetition from another message under the same control id.
    """

    class Outcome(models.TextChoices):
        """MSA-1 of the acknowledgement."""

        ACCEPTED = "AA", _("Accepted")
        ERROR = "AE", _("Refused: content")
        REJECTED = "AR", _("Refused: message")

    REFUSED: ClassVar[tuple[str, ...]] = (Outcome.ERROR, Outcome.REJECTED)

    sender = models.ForeignKey(Hl7Sender, on_delete=models.PROTECT, related_name="messages")
    control_id = models.CharField(max_length=199)
    content_hmac = models.CharField(max_length=64, editable=False)
    message_type = models.CharField(max_length=20, blank=True)
    outcome = models.CharField(max_length=2, choices=Outcome.choices)
    code = models.CharField(max_length=40, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sender", "control_id", "content_hmac"], name="hl7_message_once"
            ),
            choices_check("outcome", ["AA", "AE", "AR"], "hl7_message_outcome_known"),
            models.CheckConstraint(
                name="hl7_message_refused_has_code", condition=Q(outcome="AA") | ~Q(code="")
            ),
        ]
        indexes = [models.Index(fields=["clinic", "-created_at"], name="hl7_message_newest")]
