"""Reads of what is fetched from archives, and of the archives."""

from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from diagnosis.models import Destination, PriorFetch
from diagnosis.selectors.lookup import get_or_404


def prior_sources(*, user: User) -> QuerySet[Destination]:
    """Return the archives in which earlier studies are looked up, by name."""
    found = Destination.objects.for_user(user).filter(finds_priors=True, is_enabled=True)
    return found.defer("secrets").order_by("name", "id")


def prior_fetch_get(*, user: User, pk: UUID | str) -> PriorFetch:
    """Return one fetch with its study, archive and what came of it."""
    fetches = PriorFetch.objects.for_user(user).select_related("study", "source", "prior")
    return get_or_404(fetches.defer("study__search", "prior__search", "source__secrets"), pk)
