"""Forms of the pages; the rules are in the services."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from diagnosis.models import Patient, Priority, Study, Verdict

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(9000, 1, 1)


class PatientForm(forms.ModelForm[Patient]):
    """A patient's identity; uniqueness is decided by the service."""

    class Meta:
        model = Patient
        fields = ["record_number", "family_name", "given_name", "birth_date", "sex"]
        widgets = {
            "birth_date": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            "record_number": forms.TextInput(attrs={"autocomplete": "off"}),
            "family_name": forms.TextInput(attrs={"autocomplete": "off"}),
            "given_name": forms.TextInput(attrs={"autocomplete": "off"}),
        }

    def validate_unique(self) -> None:
        """Leave it to the service, which knows the clinic."""


class StudyForm(forms.ModelForm[Study]):
    """What is asked about a patient."""

    class Meta:
        model = Study
        fields = ["clinical_question", "body_part", "side", "priority", "accession_number"]
        widgets = {
            "clinical_question": forms.Textarea(
                attrs={"rows": 2, "placeholder": _("For example: fall on the outstretched hand")}
            )
        }

    def validate_unique(self) -> None:
        """Leave it to the service, which knows the clinic."""

    def clean_priority(self) -> int:
        """Return the priority as a number."""
        return int(self.cleaned_data["priority"])


class WorklistFilterForm(forms.Form):
    """Filters of the worklist; everything is optional and lives in the address.

    What is searched for does not: it may be a name. See ``diagnosis.web.searches``.
    """

    verdict = forms.ChoiceField(
        label=_("AI result"), required=False, choices=[("", _("Any result")), *Verdict.choices]
    )
    priority = forms.ChoiceField(
        label=_("Priority"), required=False, choices=[("", _("Any priority")), *Priority.choices]
    )
    region = forms.ChoiceField(label=_("Region"), required=False)
    side = forms.ChoiceField(
        label=_("Side"), required=False, choices=[("", _("Any side")), *Study.Side.choices]
    )
    technician = forms.ChoiceField(label=_("Registered by"), required=False)
    date_from = forms.DateField(
        label=_("From"),
        required=False,
        validators=[MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY)],
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    date_to = forms.DateField(
        label=_("Until"),
        required=False,
        validators=[MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY)],
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def __init__(
        self,
        *args: Any,
        regions: list[tuple[str, Any]],
        people: list[tuple[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        for name, empty, choices in (
            ("region", _("Any region"), regions),
            ("technician", _("Anybody"), people),
        ):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
            field.choices = [("", empty), *choices]

    def filters(self) -> dict[str, Any]:
        """Return the valid filters; a broken one is ignored and shown at its field."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}

    def query(self) -> dict[str, str]:
        """Return the valid filters as an address has them."""
        return {name: str(value) for name, value in self.filters().items()}


class ReportForm(forms.Form):
    """The draft's sections and the revision that was read."""

    revision = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    basis = forms.RegexField("^[0-9a-f]{64}$", widget=forms.HiddenInput)
    technique = forms.CharField(label=_("Technique"), required=False, max_length=10000,
                                widget=forms.Textarea(attrs={"rows": 2}))  # fmt: skip
    comparison = forms.CharField(label=_("Comparison"), required=False, max_length=10000,
                                 widget=forms.Textarea(attrs={"rows": 1}))  # fmt: skip
    findings = forms.CharField(label=_("Findings"), required=False, max_length=20000,
                               widget=forms.Textarea(attrs={"rows": 5}))  # fmt: skip
    impression = forms.CharField(label=_("Impression"), required=False, max_length=10000,
                                 widget=forms.Textarea(attrs={"rows": 2}))  # fmt: skip
    recommendation = forms.CharField(label=_("Recommendation"), required=False, max_length=10000,
                                     widget=forms.Textarea(attrs={"rows": 2}))  # fmt: skip


class SignForm(forms.Form):
    """Proof that it is the signer who signs."""

    password = forms.CharField(
        label=_("Your password"),
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    otp = forms.CharField(
        label=_("or a code of your authenticator"),
        required=False,
        max_length=10,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )

    def __init__(self, *args: Any, has_authenticator: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not has_authenticator:
            del self.fields["otp"]


class ModelChangeForm(forms.Form):
    """A change of the models: why, on what it was decided, and who is there."""

    reason = forms.CharField(label=_("Reason"), required=False, max_length=500)
    revision = forms.IntegerField(required=False, min_value=0)
    replace = forms.BooleanField(required=False)
    password = forms.CharField(required=False, max_length=1000, strip=False)
    otp = forms.CharField(required=False, max_length=20)


class RecordNumberForm(forms.Form):
    """Names another patient of the clinic by record number."""

    record_number = forms.CharField(label=_("Record number of the right patient"), max_length=64)


class ImageMoveForm(forms.Form):
    """Names the right study of an image: another one of the patient, or any by its number."""

    study = forms.ChoiceField(label=_("Another study of this patient"), required=False)
    accession_number = forms.CharField(
        label=_("or the accession number of the right study"), required=False, max_length=64
    )

    def __init__(self, *args: Any, studies: Iterable[Study], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["study"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        field.choices = [("", _("None of these"))] + [
            (str(study.pk), _study_words(study)) for study in studies
        ]


def _study_words(study: Study) -> str:
    day = date_format(localtime(study.created_at), "SHORT_DATETIME_FORMAT")
    part = study.get_body_part_display() if study.body_part else ""
    return " · ".join(word for word in (day, part, study.clinical_question[:60]) if word)
