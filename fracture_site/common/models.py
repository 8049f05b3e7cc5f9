"""The base of every model: a random UUID as identity."""

from uuid import uuid4

from django.db import models


class UUIDModel(models.Model):
    """A row whose public identity cannot be guessed or counted."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)

    class Meta:
        abstract = True
