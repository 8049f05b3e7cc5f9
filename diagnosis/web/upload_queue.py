"""The key to the files that wait in this person's browser."""

from django.http import JsonResponse
from django.middleware.csrf import get_token
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from accounts.device_keys import device_key, device_marks
from accounts.policy import Action, require
from diagnosis.web.doors import MemberRequest, member_required


@member_required
@require_safe
@cache_control(private=True, no_store=True)
def upload_queue_key(request: MemberRequest) -> JsonResponse:
    """Say who is signed in now, and give them their key.

    A page may be older than the session: it compares the marks with its own before it sends, so
    that nobody's files are sent in the name of the next person at the device.
    """
    user, clinic_id = request.user, request.membership.clinic_id
    require(user=user, action=Action.IMAGE_UPLOAD, clinic_id=clinic_id)
    marks = device_marks(user_id=user.pk, clinic_id=clinic_id)
    return JsonResponse({**marks, "key": device_key(user_id=user.pk), "csrf": get_token(request)})
