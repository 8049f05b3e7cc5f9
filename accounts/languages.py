"""Which language a person is spoken to in: the one chosen, the browser's, or the clinic's."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation

from accounts.models import Clinic, User


class LanguageMiddleware:
    """Speak the language that a signed-in person chose.

    Everybody else was given theirs by Django's ``LocaleMiddleware``: the cookie of the switch on
    the sign-in page, or ``Accept-Language``. Programs with a token are answered by that header.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Activate the language and note it as ``request.LANGUAGE_CODE``."""
        # Without a session there is no person, and no database to ask: /healthz must answer.
        user = request.user if settings.SESSION_COOKIE_NAME in request.COOKIES else None
        if isinstance(user, User) and user.language in dict(settings.LANGUAGES):
            translation.activate(user.language)
            request.LANGUAGE_CODE = user.language
        return self.get_response(request)


def mail_language(*, user: User, clinic: Clinic) -> str:
    """Return the language of a message to a member, which no browser asks for."""
    return user.language or clinic.language
