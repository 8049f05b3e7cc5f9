"""One way to fetch a row by id: whatever goes wrong looks like a missing row."""

from typing import TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404

M = TypeVar("M", bound=Model)


def get_or_404(queryset: QuerySet[M], pk: UUID | str) -> M:
    """Return the row.

    Raises:
        Http404: it does not exist, is not visible, or ``pk`` is not an id.
    """
    try:
        return queryset.get(pk=pk)
    except (ObjectDoesNotExist, ValidationError):
        raise Http404 from None
