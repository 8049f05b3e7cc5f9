"""How django-allauth lets people in: by invitation only, never by an address alone, all audited."""

import logging
from smtplib import SMTPException
from typing import Any
from uuid import UUID

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.models import EmailAddress
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.http import HttpRequest

from accounts.attempts import confirmation_begin
from accounts.audit import audit_record
from accounts.models import AuditEvent, Invitation, User
from accounts.selectors import address_is_known, invitation_usable, membership_current
from accounts.services import SESSION_KEY, invitation_accept
from accounts.tenancy import clinic_scope

logger = logging.getLogger(__name__)
KEPT_CLINIC = "_clinic_before_confirmation"
INVITATION_SESSION_KEY = "invitation"


def invitation_in_session(request: HttpRequest) -> Invitation | None:
    """Return the invitation whose link this browser opened, while it can be accepted."""
    pk = request.session.get(INVITATION_SESSION_KEY)
    return invitation_usable(pk=UUID(pk)) if pk else None


def _is_new_here(invitation: Invitation | None) -> bool:
    """Return whether the invited address may get an account; its owner may have one already."""
    return invitation is not None and not address_is_known(email=invitation.email)


class InvitationOnlyAdapter(DefaultAccountAdapter):
    """Sign-up needs an invitation; what happens at the door is written to the audit trail."""

    _confirming: User | None = None

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return whether the visitor came through an invitation."""
        return _is_new_here(invitation_in_session(request))

    def save_user(
        self,
        request: HttpRequest,
        user: User,
        form: Any,
        commit: bool = True,  # noqa: FBT001, FBT002
    ) -> User:
        """Store the invited person and make them a member in the same transaction."""
        super().save_user(request, user, form, commit=commit)
        if commit:
            accept_from_session(request, user)
        return user

    def login(self, request: HttpRequest, user: User) -> None:
        """Sign in, after every stage was passed."""
        methods = [record["method"] for record in get_authentication_records(request, user)]
        super().login(request, user)
        kept = getattr(request, KEPT_CLINIC, None)
        if kept:
            request.session[SESSION_KEY] = kept
        membership = membership_current(user=user, clinic_id=UUID(kept) if kept else None)
        clinic_id = membership.clinic_id if membership else None
        with clinic_scope(clinic_id):
            audit_record(actor=user, action="auth.sign_in", clinic_id=clinic_id, methods=methods)

    def logout(self, request: HttpRequest) -> None:
        """Sign out."""
        membership = getattr(request, "membership", None)
        if isinstance(request.user, User):
            audit_record(
                actor=request.user,
                action="auth.sign_out",
                clinic_id=membership.clinic_id if membership else None,
            )
        super().logout(request)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Record a wrong password; the address itself may be a stranger's and is not stored."""
        signed_in = request.user if isinstance(request.user, User) else None
        audit_record(
            actor=signed_in,
            action="auth.reauthentication" if signed_in else "auth.sign_in",
            clinic_id=None,
            target=User.objects.filter(email__iexact=credentials.get("email", "")).first(),
            outcome=AuditEvent.Outcome.FAILED,
        )

    def set_password(self, user: User, password: str) -> None:
        """Store a changed or reset password."""
        super().set_password(user, password)
        audit_record(actor=user, action="auth.password_set", clinic_id=None, target=user)

    def send_notification_mail(
        self, template_prefix: str, user: User, *args: Any, **kwargs: Any
    ) -> None:
        """Tell the person about a change of their account, and record it."""
        change = template_prefix.rpartition("/")[2]
        audit_record(
            actor=user, action="auth.account_changed", clinic_id=None, target=user, change=change
        )
        try:
            super().send_notification_mail(template_prefix, user, *args, **kwargs)
        except (SMTPException, OSError):  # the change itself is made and stays
            logger.exception("notification not sent", extra={"code": "mail_unavailable"})

    def reauthenticate(self, user: User, password: str) -> bool:
        """Check the password of somebody who is signed in."""
        self._confirming = user
        return bool(super().reauthenticate(user, password))

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count an attempt: to sign in by address, to confirm by person."""
        if self._confirming is None:
            super().pre_authenticate(request, **credentials)
        else:
            self._login_failed_rl_usage = confirmation_begin(self._confirming)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:  # noqa: ARG002
        """Count by address alone: by default each spelling of the Host header counts anew."""
        return str(credentials.get("email", "")).strip().lower()


class MembersOnlySocialAdapter(DefaultSocialAccountAdapter):
    """An identity of a provider is bound by issuer and subject, never by its address.

    Its owner connects it while signed in, or it comes with an invitation: then
    the account gets the invited address, whatever the provider says.
    """

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:  # noqa: ARG002
        """Return whether the visitor came through an invitation."""
        return _is_new_here(invitation_in_session(request))

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Replace the addresses that the provider claims by the invited one."""
        if sociallogin.is_existing:
            # Somebody who confirms their identity while signed in stays in their clinic.
            if request.user == sociallogin.user:
                setattr(request, KEPT_CLINIC, request.session.get(SESSION_KEY))
            return
        invitation = invitation_in_session(request)
        email = invitation.email if invitation else ""
        sociallogin.user.email = email
        sociallogin.email_addresses = (
            [EmailAddress(email=email, verified=True, primary=True)] if invitation else []
        )

    def authenticate_by_email(self, _sociallogin: Any) -> None:
        """Recognise nobody by an address, whatever the settings of a provider say."""

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> Any:
        """Take over the person's name."""
        user = super().populate_user(request, sociallogin, data)
        parts = (data.get("first_name"), data.get("last_name"))
        user.full_name = (data.get("name") or " ".join(filter(None, parts)))[:150]
        return user

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> Any:
        """Store the invited person and make them a member in the same transaction."""
        user = super().save_user(request, sociallogin, form)
        accept_from_session(request, user)
        return user


def accept_from_session(request: HttpRequest, user: User) -> None:
    """Accept the invitation in the session; without one there is no account to be had."""
    pk = request.session.pop(INVITATION_SESSION_KEY, None)
    if pk:
        invitation_accept(user=user, invitation_id=UUID(pk))
