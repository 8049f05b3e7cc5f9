"""Files that arrive in parts."""

from uuid import UUID

from django.http import Http404
from django.utils import timezone

from accounts.models import User
from diagnosis.models import ResumableUpload


def upload_get(*, user: User, pk: UUID) -> ResumableUpload:
    """Return an upload of the current clinic; what a person may do with it the services decide.

    Raises:
        Http404: there is none, or its time is over.
    """
    rows = ResumableUpload.objects.for_user(user).select_related("study", "image")
    upload = rows.filter(pk=pk, expires_at__gt=timezone.now()).first()
    if upload is None:
        raise Http404
    return upload
