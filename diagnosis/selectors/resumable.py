"""Files that arrive in parts."""

from uuid import UUID

from django.http import Http404
from django.utils import timezone

from accounts.models import User
from diagnosis.models import ResumableUpload


def upload_get(*, user: User, pk: UUID) -> ResumableUpload:
    """Return an upload that this person began in the current clinic.

    Raises:
        Http404: there is none, somebody else began it, or its time is over.
    """
    rows = ResumableUpload.objects.for_user(user).select_related("study", "image")
    upload = rows.filter(pk=pk, owner=user, expires_at__gt=timezone.now()).first()
    if upload is None:
        raise Http404
    return upload
