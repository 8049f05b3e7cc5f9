"""Help for writing reports: short names for texts, and copies of what a conflict would lose."""

from uuid import uuid4

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel
from diagnosis.models.reports import ReportVersion


class TextMacro(ClinicOwnedModel):
    """A text that ``.name`` and Tab insert; the clinic's when ``owner`` is null."""

    owner = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    name = models.CharField(
        _("name"),
        max_length=20,
        validators=[RegexValidator(r"^[\w-]+$", _("Letters, digits, - and _ only."))],
    )
    text = models.TextField(_("text"), max_length=2000)

    class Meta:
        verbose_name = _("text macro")
        verbose_name_plural = _("text macros")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "name"],
                condition=Q(owner__isnull=True),
                name="macro_once_per_clinic",
            ),
            models.UniqueConstraint(
                fields=["clinic", "owner", "name"],
                condition=Q(owner__isnull=False),
                name="macro_once_per_person",
            ),
        ]


class DraftCopy(ClinicOwnedModel):
    """What a person typed on top of a draft that somebody else had saved meanwhile.

    One row for each open page (``tab``): its newest refused text. It goes when it is dropped.
    """

    version = models.ForeignKey(ReportVersion, on_delete=models.CASCADE, related_name="copies")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    tab = models.UUIDField(default=uuid4)
    texts = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-updated_at"]
        constraints = [
            models.UniqueConstraint(fields=["version", "author", "tab"], name="draft_copy_one_each")
        ]
