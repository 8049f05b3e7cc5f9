"""Forms of second-opinion links."""

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnosis.services.shares import MAX_DAYS


class ShareForm(forms.Form):
    """What a link shows, to whom it opens, and for how long."""

    question = forms.CharField(
        label=_("Question to the colleague"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("The recipient reads it. Do not write who the patient is."),
    )
    days = forms.IntegerField(
        label=_("Days until it ends"), min_value=1, max_value=MAX_DAYS, initial=7
    )
    passcode = forms.CharField(
        label=_("Passcode"),
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("At least 6 characters. Tell it on another way than the link."),
    )
    may_comment = forms.BooleanField(
        label=_("The recipient may write an opinion"), required=False, initial=True
    )
    is_identified = forms.BooleanField(
        label=_("Show name, record number and birth date"), required=False
    )
    images_checked = forms.BooleanField(
        label=_("I have looked at each image: nothing in the picture names the patient."),
        required=False,
    )


class PasscodeForm(forms.Form):
    """Proof that the recipient is the one who was meant."""

    passcode = forms.CharField(
        label=_("Passcode"),
        max_length=100,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )


class CommentForm(forms.Form):
    """The colleague's opinion."""

    author_name = forms.CharField(label=_("Your name"), max_length=100)
    text = forms.CharField(
        label=_("Your opinion"), max_length=4000, widget=forms.Textarea(attrs={"rows": 5})
    )
