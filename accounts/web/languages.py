"""The switch between languages, for everybody."""

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from accounts.models import User
from accounts.services import language_choose


@require_POST
def language_set(request: HttpRequest) -> HttpResponseBase:
    """Remember the language in a cookie, and in the account of who is signed in."""
    response = set_language(request)  # checks that ``next`` stays on this site
    if isinstance(request.user, User):
        language_choose(user=request.user, language=request.POST.get("language", ""))
    return response
