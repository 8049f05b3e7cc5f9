"""Second factors: their secrets are encrypted at rest and wrong codes are audited."""

from functools import cached_property
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base import forms as allauth_forms
from allauth.mfa.models import Authenticator
from cryptography.fernet import MultiFernet
from django.core.exceptions import ValidationError

from accounts.attempts import confirmation_begin
from accounts.audit import audit_record
from accounts.models import AuditEvent
from fracture_site.common.sealing import cipher


class EncryptingMFAAdapter(DefaultMFAAdapter):
    """A stolen copy of the database holds no usable second factor."""

    def encrypt(self, text: str) -> str:
        """Encrypt with the present secret key."""
        return self._cipher.encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Decrypt with the present secret key or a former one."""
        return self._cipher.decrypt(encrypted_text.encode()).decode()

    @cached_property
    def _cipher(self) -> MultiFernet:
        return cipher("second factors:")


class AuthenticateForm(allauth_forms.AuthenticateForm):
    """The code at sign-in."""

    def clean_code(self) -> Any:
        """Record a wrong code; the sign-in itself goes on."""
        return _audited(self, super().clean_code, "auth.sign_in")


class ReauthenticateForm(allauth_forms.ReauthenticateForm):
    """The code before something important."""

    def clean_code(self) -> Any:
        """Record a wrong code."""
        return _audited(self, self._checked_code, "auth.reauthentication")

    def _checked_code(self) -> str:
        """Return a right code; attempts count together with those of the password."""
        attempt = confirmation_begin(self.user)
        code: str = self.cleaned_data["code"]
        # Passkeys cannot check typed codes.
        factors = Authenticator.objects.filter(user=self.user)
        for factor in factors.exclude(type=Authenticator.Type.WEBAUTHN):
            if factor.wrap().validate_code(code):
                factor.user = self.user
                self.authenticator = factor
                attempt.rollback()
                return code
        error: Any = EncryptingMFAAdapter().validation_error("incorrect_code")
        raise error


def _audited(form: Any, clean: Any, action: str) -> Any:
    try:
        return clean()
    except ValidationError:
        audit_record(
            actor=None,
            action=action,
            clinic_id=None,
            target=form.user,
            outcome=AuditEvent.Outcome.FAILED,
            factor="code",
        )
        raise
