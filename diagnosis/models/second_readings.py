"""A second pair of eyes before a report is final, and reports that were withdrawn."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel, choices_check
from diagnosis.models.reports import ReportVersion


class SecondReading(ClinicOwnedModel):
    """A draft that its first reader has signed for and a second reader has to confirm.

    Legal moves (``diagnosis.services.second_readings`` makes them)::

        AWAITING -> AGREED      the version is signed by both
            |-----> DISAGREED   a discrepancy is opened, the draft can be edited again
            `-----> WITHDRAWN   the first reader took it back

    While it waits the draft cannot be edited; ``revision`` is the text that was signed for.
    """

    class State(models.TextChoices):
        """``awaiting`` is open, the others are final."""

        AWAITING = "awaiting", _("Awaiting second reader")
        AGREED = "agreed", _("Agreed")
        DISAGREED = "disagreed", _("Disagreed")
        WITHDRAWN = "withdrawn", _("Taken back")

    version = models.ForeignKey(
        ReportVersion, on_delete=models.PROTECT, related_name="second_readings"
    )
    revision = models.PositiveIntegerField()
    first_reader = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=9, choices=State.choices, default=State.AWAITING)
    reader = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    remark = models.TextField(_("remark"), blank=True, max_length=2000)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("second reading")
        verbose_name_plural = _("second readings")
        ordering = ["created_at"]
        constraints = [
            choices_check(
                "state",
                ["awaiting", "agreed", "disagreed", "withdrawn"],
                "second_reading_state_known",
            ),
            models.UniqueConstraint(
                fields=["version"],
                condition=Q(state="awaiting"),
                name="second_reading_one_open",
            ),
            models.CheckConstraint(
                name="second_reading_decided_is_complete",
                condition=Q(state="awaiting", reader__isnull=True, decided_at__isnull=True)
                | Q(state="withdrawn", decided_at__isnull=False)
                | Q(
                    state__in=["agreed", "disagreed"],
                    reader__isnull=False,
                    decided_at__isnull=False,
                ),
            ),
        ]


class ReportWithdrawal(ClinicOwnedModel):
    """A signed version that must not be used any more, and why; never taken back.

    The version itself stays as it was signed; a new version may follow.
    """

    version = models.OneToOneField(
        ReportVersion, on_delete=models.PROTECT, related_name="withdrawal"
    )
    reason = models.TextField(_("reason"), max_length=2000)
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("withdrawal")
        verbose_name_plural = _("withdrawals")
