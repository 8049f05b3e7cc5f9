"""Forms of the pages about people; ``InvitedPersonForm`` is part of allauth's sign-up."""

from datetime import datetime, time
from typing import Any, cast
from zoneinfo import available_timezones

from allauth.core import context
from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiToken, Clinic, Membership, Role, UseAttestation, User
from accounts.selectors import member_list
from accounts.web.audit_words import action_choices
from fracture_site.common.errors import DomainError


def add_domain_error(form: forms.BaseForm, error: DomainError) -> None:
    """Show a service's refusal in the form it came from."""
    known = {name: text for name, text in error.fields.items() if name in form.fields}
    for name, text in known.items():
        form.add_error(name, text)
    if not known:
        form.add_error(None, str(error.detail or error.code))


class InvitedPersonForm(forms.Form):
    """What sign-up asks besides the password; the address is the invited one."""

    full_name = forms.CharField(label=_("Full name"), max_length=150)
    title = forms.CharField(
        label=_("Title"), max_length=60, required=False, help_text=_("As reports show it: Dr.")
    )
    field_order = ("email", "title", "full_name", "password1", "password2")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from accounts.auth import invitation_in_session  # allauth loads this module with its own

        super().__init__(*args, **kwargs)
        invitation = invitation_in_session(context.request)
        if "email" in self.fields:
            self.fields["email"].disabled = True
            self.initial["email"] = invitation.email if invitation else ""

    def signup(self, _request: HttpRequest, user: User) -> None:
        """Store the name; allauth calls this after the person was stored."""
        user.full_name = self.cleaned_data["full_name"]
        user.title = self.cleaned_data["title"]
        user.save(update_fields=["full_name", "title"])


class RolesForm(forms.Form):
    """The roles of one member."""

    roles = forms.MultipleChoiceField(
        label=_("Roles"), choices=Role.choices, widget=forms.CheckboxSelectMultiple
    )


class InvitationForm(RolesForm):
    """Whom to invite, and as what."""

    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    field_order = ("email", "roles")


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(
        label=_("Name"), max_length=100, help_text=_("Which program uses it, and where.")
    )
    scope = forms.ChoiceField(label=_("Scope"), choices=ApiToken.Scope.choices)
    expires_on = forms.DateField(
        label=_("Last day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Empty: until it is revoked."),
    )

    def expires_at(self) -> datetime | None:
        """Return the end of the last day."""
        day = self.cleaned_data["expires_on"]
        return timezone.make_aware(datetime.combine(day, time.max)) if day else None


class ClinicForm(forms.Form):
    """What the clinic's administrator may change; the service stores it."""

    name = forms.CharField(label=_("Name"), max_length=200)
    address = forms.CharField(
        label=_("Address"),
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Reports show it below the name."),
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"), choices=[(zone, zone) for zone in sorted(available_timezones())]
    )
    language = forms.ChoiceField(
        label=_("Language"),
        choices=settings.LANGUAGES,
        help_text=_(
            "Reports are drafted and printed in it. Everybody chooses their own for the pages."
        ),
    )
    read_first = forms.BooleanField(
        label=_("Everybody reads before the AI"),
        required=False,
        help_text=_(
            "Doctors answer for themselves before they are shown the AI's result. Members in "
            "training always do."
        ),
    )
    second_reader = forms.ChoiceField(
        label=_("Second reader"), choices=Clinic._meta.get_field("second_reader").choices or []
    )
    second_factor_required = forms.BooleanField(
        label=_("Everybody needs a second factor"),
        required=False,
        help_text=_(
            "A one-time code or a passkey. Members without one reach only the page that sets it "
            "up. API tokens of programs go on working."
        ),
    )


class UseForm(forms.ModelForm):  # type: ignore[type-arg]
    """What an administrator attests about the clinical use."""

    class Meta:
        model = UseAttestation
        fields = ["statement", "reference", "attested_name", "attested_on"]
        widgets = {
            "statement": forms.Textarea(attrs={"rows": 3}),
            "attested_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        }
        help_texts = {
            "statement": _("Which use is allowed here, and by whom."),
            "reference": _("Number or file of the decision."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.required = True


class MemberForm(RolesForm):
    """A member's roles, and how they read."""

    in_training = forms.BooleanField(
        label=_("In training"),
        required=False,
        help_text=_("Answers for themselves before the AI's result is shown."),
    )
    read_first = forms.TypedChoiceField(
        label=_("Reads before the AI"),
        required=False,
        choices=[("", _("As the clinic says")), ("yes", _("Always")), ("no", _("Never"))],
        coerce=lambda value: value == "yes",
        empty_value=None,
    )


class MemberField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A choice of members by name."""

    def label_from_instance(self, obj: Membership) -> str:
        """Return what the list shows."""
        return obj.user.display_name


class AuditFilterForm(forms.Form):
    """Which events of the trail to show."""

    action = forms.CharField(
        label=_("Action"), required=False, max_length=60, widget=forms.Select(choices=[])
    )
    person = MemberField(
        label=_("Person"),
        required=False,
        queryset=Membership.objects.none(),
        empty_label=_("Everybody"),
    )
    since = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    before = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, membership: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast("MemberField", self.fields["person"]).queryset = member_list(
            clinic_id=membership.clinic_id
        )
        cast("forms.Select", self.fields["action"].widget).choices = action_choices()

    def filters(self) -> dict[str, Any]:
        """Return the selector's arguments."""
        person = self.cleaned_data["person"]
        return {
            "action": self.cleaned_data["action"],
            "actor_id": person.user_id if person else None,
            "since": self.cleaned_data["since"],
            "until": self.cleaned_data["until"],
        }
