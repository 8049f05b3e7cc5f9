"""Answers to POST requests that a client may repeat."""

from django.db import models

from diagnosis.models.base import ClinicOwnedModel


class IdempotencyRecord(ClinicOwnedModel):
    """The stored answer for one ``Idempotency-Key`` of one caller; kept for a day."""

    user_id = models.UUIDField()
    key = models.CharField(max_length=200)
    request_sha256 = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField()
    body = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "user_id", "key"], name="idempotency_key_once_per_caller"
            )
        ]
        indexes = [models.Index(fields=["created_at"])]
