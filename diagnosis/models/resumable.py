"""A file that arrives in parts over a line that breaks."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel
from diagnosis.models.studies import Study, StudyImage


class ResumableUpload(ClinicOwnedModel):
    """What has arrived of one file for one study; kept until ``expires_at``.

    Moves: parts are appended until ``received`` is ``length``; then it becomes ``image``, once.
    """

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="+")
    image = models.ForeignKey(StudyImage, null=True, on_delete=models.CASCADE, related_name="+")
    length = models.PositiveBigIntegerField()
    received = models.PositiveBigIntegerField(default=0)
    part_keys = ArrayField(models.CharField(max_length=200), default=list, editable=False)
    capture = models.CharField(max_length=10, blank=True)
    corners = models.CharField(max_length=1000, blank=True)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="resumable_received_within_length",
                condition=Q(length__gt=0, received__lte=F("length")),
            ),
        ]
        indexes = [models.Index(fields=["owner", "clinic"], name="resumable_of_owner")]
