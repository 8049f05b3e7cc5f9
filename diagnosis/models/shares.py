"""A study shown to a colleague elsewhere by a link, and what the colleague answers."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel
from diagnosis.models.studies import Study


class StudyShare(ClinicOwnedModel):
    """A link for a second opinion; the secret in it is stored as a hash only.

    It works until ``expires_at``, ``revoked_at`` or too many wrong passcodes; the reasons look
    alike from outside. Unless ``is_identified``, it shows nothing that names the patient.
    """

    MAX_WRONG_PASSCODES = 10

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="shares")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    passcode_hash = models.CharField(max_length=200, blank=True, editable=False)
    wrong_passcodes = models.PositiveSmallIntegerField(default=0)
    question = models.TextField(_("question to the colleague"), blank=True, max_length=2000)
    # What the sender has looked at: images that arrive later are not shown.
    image_ids = ArrayField(models.UUIDField(), default=list, editable=False)
    is_identified = models.BooleanField(default=False)
    may_comment = models.BooleanField(default=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    opened_count = models.PositiveIntegerField(default=0)
    last_opened_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("second-opinion link")
        verbose_name_plural = _("second-opinion links")
        constraints = [
            models.CheckConstraint(
                name="share_opened_at_when_counted",
                condition=Q(opened_count=0, last_opened_at__isnull=True)
                | Q(opened_count__gt=0, last_opened_at__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["study", "-created_at"], name="share_of_study")]


class ShareComment(ClinicOwnedModel):
    """What somebody with the link wrote; the name is as they gave it, unchecked."""

    share = models.ForeignKey(StudyShare, on_delete=models.PROTECT, related_name="comments")
    author_name = models.CharField(_("your name"), max_length=100)
    text = models.TextField(_("your opinion"), max_length=4000)

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["share", "created_at"], name="share_comments")]
