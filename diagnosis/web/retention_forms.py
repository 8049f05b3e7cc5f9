"""Forms about keeping and erasing."""

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnosis.models import Erasure


class RetentionForm(forms.Form):
    """The clinic's policy; bounds are the service's."""

    keep_years = forms.IntegerField(
        label=_("Erase patients this many years after their last visit"),
        required=False,
        min_value=0,
        help_text=_("Empty: patients are kept for ever."),
    )
    minors_until_age = forms.IntegerField(
        label=_("Keep who was a minor at least until this age"), min_value=0
    )
    reports_years = forms.IntegerField(
        label=_("Keep signed reports at least this many years"),
        min_value=0,
        help_text=_(
            "Also when the patient asks for erasure. 0: the law asks for nothing. A patient with a "
            "younger report is kept as a whole."
        ),
    )
    grace_days = forms.IntegerField(
        label=_("Days between the list and the erasure"),
        min_value=0,
        help_text=_("During these days you can take patients from the list by a legal hold."),
    )


class EraseForm(forms.Form):
    """Which patient, typed a second time, and why."""

    reason = forms.ChoiceField(
        label=_("Reason"), choices=[("", "---------"), *Erasure.Reason.choices]
    )
    record_number = forms.CharField(
        label=_("Type the record number of the patient"),
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class HoldForm(forms.Form):
    """Why a patient must not be erased."""

    reason = forms.CharField(
        label=_("Why the patient must be kept"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
