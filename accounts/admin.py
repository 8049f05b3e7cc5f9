"""Site operations on people: clinics, accounts, memberships, invitations, tokens, the site's trail.

Every change goes through a service or is audited here. Nothing clinical is on
these pages: a site administrator who needs that is given a membership, which
the clinic reads in its own trail.
"""

from typing import Any
from zoneinfo import available_timezones

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts.admin_base import OperationsAdmin, ReadOnlyAdmin
from accounts.admin_smart import SmartAppAdmin
from accounts.audit import audit_record
from accounts.models import ApiToken, AuditEvent, Clinic, Invitation, Membership, Role, User
from accounts.selectors import clinic_name_is_taken
from accounts.services import (
    BREAK_GLASS_MAX_HOURS,
    BreakGlassReason,
    clinic_create,
    member_break_glass,
    member_grant,
    member_override,
    token_override_revoke,
)
from accounts.web.access import actor_of
from accounts.web.forms import RolesForm, add_domain_error
from fracture_site.common.errors import DomainError

__all__ = ["SmartAppAdmin"]  # and everything below: all register themselves

# These would change who can sign in, unaudited: their owners do that in their own accounts.
for model in (
    EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken, UserSession, Group,
):  # fmt: skip
    if admin.site.is_registered(model):
        admin.site.unregister(model)


class NewClinicForm(forms.ModelForm):  # type: ignore[type-arg]
    """A clinic and the address of its first administrator."""

    admin_email = forms.EmailField(
        label=_("First administrator"),
        help_text=_("Gets an invitation by e-mail and invites everybody else."),
    )

    class Meta:
        model = Clinic
        fields = ["name", "address", "time_zone"]

    def clean_name(self) -> str:
        """Refuse a second clinic of the name: the administrator would mix them up."""
        name = str(self.cleaned_data["name"])
        if clinic_name_is_taken(name=name):
            raise forms.ValidationError(_("There is a clinic of this name already."))
        return name


class BreakGlassForm(RolesForm):
    """Who needs which clinic's records, why, and for how long."""

    person = forms.ModelChoiceField(
        label=_("Person"), queryset=User.objects.filter(is_active=True, is_staff=True)
    )
    clinic = forms.ModelChoiceField(
        label=_("Clinic"), queryset=Clinic.objects.filter(is_active=True)
    )
    reason = forms.ChoiceField(label=_("Reason"), choices=[("", "---"), *BreakGlassReason.choices])
    hours = forms.IntegerField(
        label=_("Hours"), min_value=1, max_value=BREAK_GLASS_MAX_HOURS, initial=1
    )
    field_order = ("person", "clinic", "roles", "reason", "hours")


@admin.register(Clinic)
class ClinicAdmin(OperationsAdmin):
    """Opening a clinic invites its first administrator; closing it ends all access at once."""

    list_display = ["name", "intended_use", "is_active", "created_at"]
    list_filter = ["is_active", "intended_use"]
    search_fields = ["name"]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the known time zones."""
        if db_field.name == "time_zone":
            zones = [(zone, zone) for zone in sorted(available_timezones())]
            return forms.ChoiceField(label=_("time zone"), choices=zones, initial="UTC")
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_form(
        self,
        request: HttpRequest,
        obj: Any = None,
        change: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        **kwargs: Any,
    ) -> Any:
        """Ask for the first administrator of a new clinic."""
        if obj is None:
            kwargs["form"] = NewClinicForm
            kwargs["fields"] = NewClinicForm.Meta.fields
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, _request: HttpRequest, obj: Any = None) -> Any:
        """Show the address on the page of a new clinic."""
        return [*NewClinicForm.Meta.fields, "admin_email" if obj is None else "is_active"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Open a clinic through its service."""
        if change:
            super().save_model(request, obj, form, change)
            return
        created = clinic_create(actor=actor_of(request), **form.cleaned_data)
        obj.pk = created.pk
        obj._state.adding = False


@admin.register(User)
class UserAdmin(OperationsAdmin):
    """Accounts begin with an invitation; passwords are set by their owners alone."""

    list_display = ["email", "full_name", "is_active", "is_staff", "last_login"]
    list_filter = ["is_active", "is_staff"]
    search_fields = ["email", "full_name"]
    fields = ["email", "title", "full_name", "is_active", "is_staff", "date_joined", "last_login"]
    readonly_fields = ["email", "date_joined", "last_login"]
    actions = ["remove_second_factors"]

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Refuse."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Keep one administrator able to sign in."""
        if obj.pk == actor_of(request).pk and not (obj.is_active and obj.is_staff):
            obj.is_active = obj.is_staff = True
            messages.error(request, _("You cannot take these rights from yourself."))
        obj.is_superuser = obj.is_staff
        super().save_model(request, obj, form, change)

    @admin.action(description=_("Remove the second factors (after a lost phone)"))
    def remove_second_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let people in by password alone until they set up a new factor; they are told."""
        for user in queryset:
            removed, _by_model = Authenticator.objects.filter(user=user).delete()
            audit_record(
                actor=actor_of(request),
                action="admin.user.remove_second_factors",
                clinic_id=None,
                target=user,
                removed=removed,
            )
            with translation.override(user.language or translation.get_language()):
                get_adapter().send_notification_mail("accounts/email/second_factors_removed", user)


@admin.register(Membership)
class MembershipAdmin(OperationsAdmin):
    """Placing a person in a clinic; break-glass access, which ends by itself."""

    list_display = ["user", "clinic", "roles", "is_active", "expires_at"]
    list_filter = ["is_active", "clinic"]
    search_fields = ["user__email"]
    autocomplete_fields = ["user", "clinic"]
    fields = ["user", "clinic", "roles", "is_active", "expires_at"]

    def get_urls(self) -> list[URLPattern]:
        """Add the page of break-glass access."""
        view = self.admin_site.admin_view(self.break_glass)
        name = "accounts_membership_break_glass"
        return [path("break-glass/", view, name=name), *super().get_urls()]

    def break_glass(self, request: HttpRequest) -> HttpResponse:
        """Open a clinic's records to a site administrator for hours."""
        form = BreakGlassForm(request.POST or None, initial={"person": request.user.pk})
        if form.is_valid():
            data = form.cleaned_data
            try:
                member_break_glass(
                    actor=actor_of(request), user=data["person"], clinic_id=data["clinic"].pk,
                    roles=data["roles"], reason=data["reason"], hours=data["hours"],
                )  # fmt: skip
            except DomainError as error:
                add_domain_error(form, error)
            else:
                messages.success(request, _("Access is open. The clinic sees it and why."))
                return redirect("admin:accounts_membership_changelist")
        context = self.admin_site.each_context(request) | {
            "form": form, "title": _("Break-glass access"), "opts": self.opts,
        }  # fmt: skip
        return render(request, "admin/accounts/membership/break_glass.html", context)

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> list[str]:
        """Fix the person and the clinic of a membership that exists."""
        return ["user", "clinic", "expires_at"] if obj else ["is_active", "expires_at"]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the roles as boxes."""
        if db_field.name == "roles":
            return forms.MultipleChoiceField(
                label=_("roles"), choices=Role.choices, widget=forms.CheckboxSelectMultiple
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001, ARG002
        """Grant through the service."""
        if change:
            member_override(
                actor=actor_of(request), membership=obj, roles=obj.roles, is_active=obj.is_active
            )
            return
        granted = member_grant(
            actor=actor_of(request), user=obj.user, clinic_id=obj.clinic_id, roles=obj.roles
        )
        obj.pk = granted.pk
        obj._state.adding = False


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    """Who was invited where."""

    list_display = ["email", "clinic", "roles", "created_at", "expires_at", "accepted_at"]
    list_filter = ["clinic"]
    search_fields = ["email"]
    fields = ["clinic", "email", "roles", "invited_by", "created_at", "expires_at", "accepted_at",
              "revoked_at"]  # fmt: skip


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Keys of programs; their hashes are not shown."""

    list_display = ["name", "prefix", "membership", "scope", "last_used_at", "revoked_at"]
    list_select_related = ["membership"]
    list_filter = ["scope", "membership__clinic"]
    search_fields = ["name", "prefix", "membership__user__email"]
    fields = ["name", "prefix", "membership", "scope", "created_at", "last_used_at", "expires_at",
              "revoked_at"]  # fmt: skip
    actions = ["revoke"]

    @admin.action(description=_("Revoke the chosen tokens"), permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """End tokens with their next request."""
        for token in queryset.select_related("membership"):
            token_override_revoke(actor=actor_of(request), token=token)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """The site's own trail; the clinics' belong to the clinics."""

    list_display = ["at", "actor", "action", "outcome", "target_type", "target_id"]
    list_filter = ["outcome", "action"]
    list_select_related = ["actor"]
    date_hierarchy = "at"
    fields = ["at", "actor", "token_id", "action", "outcome", "target_type", "target_id", "details"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """Keep the events that belong to no clinic."""
        events: QuerySet[AuditEvent] = super().get_queryset(request)
        return events.filter(clinic__isnull=True)
