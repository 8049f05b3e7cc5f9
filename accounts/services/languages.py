"""The language that a person chose."""

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.models import User
from fracture_site.common.errors import DomainError


@transaction.atomic
def language_choose(*, user: User, language: str) -> None:
    """Speak this language to the person from now on, on every device and in e-mails.

    Raises:
        DomainError: ``language_unknown``.
    """
    if language not in dict(settings.LANGUAGES):
        raise DomainError("language_unknown", _("Choose one of the languages of the list."))
    if user.language == language:
        return
    user.language = language
    user.save(update_fields=["language"])
    audit_record(
        actor=user, action="auth.account_changed", clinic_id=None, target=user, fields=["language"]
    )
