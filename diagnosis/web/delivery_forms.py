"""Forms of destinations and deliveries; the rules are in the services."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from diagnosis.models import Content, Destination, Event
from diagnosis.services.delivery_senders import SENDERS
from diagnosis.web.delivery_words import STATES

_SECRETS = ("bearer_token", "signing_key", "certificate", "key", "ca")
_OPTIONS = ("retrieve", "issuer")
_PEM = {"rows": 3, "spellcheck": "false", "autocomplete": "off", "class": "mono"}


class DestinationForm(forms.ModelForm[Destination]):
    """A destination; secrets are written and never shown."""

    events = forms.MultipleChoiceField(
        label=_("When something is sent"),
        choices=Event.choices,
        widget=forms.CheckboxSelectMultiple,
        required=False,
        initial=[Event.REPORT_SIGNED],
    )
    contents = forms.MultipleChoiceField(
        label=_("What is sent"),
        choices=Content.choices,
        widget=forms.CheckboxSelectMultiple,
        required=False,
        initial=[Content.SR, Content.PDF],
    )
    finds_priors = forms.BooleanField(
        label=_("Look up patients' earlier studies here"), required=False,
        help_text=_("For DICOM and DICOMweb: doctors fetch earlier radiographs to compare with."),
    )  # fmt: skip
    retrieve = forms.ChoiceField(
        label=_("How earlier images come (DICOM)"), required=False,
        choices=[
            ("get", _("Over our connection (C-GET)")),
            ("move", _("The archive connects to our listener (C-MOVE)")),
        ],
        help_text=_("For C-MOVE the archive must be one of your devices and know our listener."),
    )  # fmt: skip
    issuer = forms.CharField(
        label=_("Who gives out the record numbers (Issuer of Patient ID)"), required=False,
        max_length=64,
        help_text=_("If the archive holds several hospitals' numbers: others are not matched."),
    )  # fmt: skip
    bearer_token = forms.CharField(
        label=_("Token"), required=False, max_length=2000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )  # fmt: skip
    signing_key = forms.CharField(
        label=_("Signing key (webhooks)"), required=False, max_length=500,
        help_text=_("The receiver checks with it that it is us."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )  # fmt: skip
    certificate = forms.CharField(
        label=_("Our certificate (PEM)"), required=False, max_length=20000,
        widget=forms.Textarea(attrs=_PEM),
    )  # fmt: skip
    key = forms.CharField(
        label=_("Its key (PEM)"), required=False, max_length=20000,
        widget=forms.Textarea(attrs=_PEM),
    )  # fmt: skip
    ca = forms.CharField(
        label=_("Certificates to trust (PEM)"), required=False, max_length=40000,
        help_text=_("Empty: those of the machine."), widget=forms.Textarea(attrs=_PEM),
    )  # fmt: skip
    forget_secrets = forms.BooleanField(
        label=_("Forget token, certificates and key"), required=False
    )

    class Meta:
        model = Destination
        fields = [
            "name", "kind", "host", "port", "called_ae_title", "calling_ae_title", "url",
            "use_tls", "finds_priors", "is_enabled",
        ]  # fmt: skip
        help_texts = {
            "host": _("For DICOM and HL7: name or address of the machine."),
            "called_ae_title": _("As the system calls itself."),
            "calling_ae_title": _("As the system knows us."),
            "url": _("For DICOMweb and webhooks: begins with https://"),
        }

    field_order = [
        "name", "kind", "host", "port", "called_ae_title", "calling_ae_title", "url", "use_tls",
        "events", "contents", "finds_priors", "retrieve", "issuer", "bearer_token",
        "signing_key", "certificate", "key", "ca", "forget_secrets",
        "is_enabled",
    ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind = self.fields["kind"]
        assert isinstance(kind, forms.ChoiceField)  # noqa: S101 - a field with choices
        kind.choices = [(k, label) for k, label in Destination.Kind.choices if k in SENDERS]
        if self.instance._state.adding:
            del self.fields["forget_secrets"]
            self.initial["calling_ae_title"] = "FRACTURE_SITE"
        else:
            self.initial["events"] = self.instance.events
            self.initial["contents"] = self.instance.contents
            self.initial.update({n: self.instance.options.get(n, "") for n in _OPTIONS})
            if self.instance.secrets:
                stored = _("Stored. Enter something to replace it.")
                for name in _SECRETS:
                    self.fields[name].help_text = stored

    def _post_clean(self) -> None:
        """Leave the rules to the service, which says them at the fields."""

    def fields_given(self) -> dict[str, Any]:
        """Return the destination's own fields."""
        own = (*self.Meta.fields, "events", "contents")
        options = {n: v for n, v in self.instance.options.items() if n not in _OPTIONS}
        if self.cleaned_data["finds_priors"]:
            options |= {n: self.cleaned_data[n] for n in _OPTIONS if self.cleaned_data[n]}
        return {name: self.cleaned_data[name] for name in own} | {"options": options}

    def secrets(self) -> dict[str, str]:
        """Return the secrets to change: those entered, or all as empty when they are to go."""
        if self.cleaned_data.get("forget_secrets"):
            return dict.fromkeys(_SECRETS, "")
        return {name: self.cleaned_data[name] for name in _SECRETS if self.cleaned_data[name]}


class DeliveryFilterForm(forms.Form):
    """Which deliveries are shown."""

    status = forms.ChoiceField(
        label=_("State"), required=False, choices=[("", _("Any state")), *STATES.items()]
    )
    destination = forms.ChoiceField(label=_("Destination"), required=False)

    def __init__(self, *args: Any, destinations: QuerySet[Destination], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["destination"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        field.choices = [("", _("Any destination"))] + [(str(d.pk), d.name) for d in destinations]

    def filters(self) -> dict[str, Any]:
        """Return the valid filters; a broken one is ignored."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}

    def query(self) -> str:
        """Return the filters as they stand in the address."""
        return urlencode(self.filters())
