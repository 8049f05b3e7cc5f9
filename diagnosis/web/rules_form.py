"""The form of a clinic's reading rules."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnosis.models import Priority, Study, Verdict
from diagnosis.selectors.rules import PRIORITY_KEYS, VERDICT_KEYS, Rules
from diagnosis.services.worklist_settings import MAX_TARGET, SEVERITIES, VIEWS
from diagnosis.web.worklist_words import VIEW_LABELS

LEVELS = (1, 2, 3)
_SEVERITY_LABELS = {"mild": _("Mild"), "moderate": _("Moderate"), "severe": _("Severe")}


class RulesForm(forms.Form):
    """Targets, expected views, and which results are critical."""

    critical_enabled = forms.BooleanField(
        label=_("Tell the people below when the AI says fracture"), required=False
    )
    critical_regions = forms.MultipleChoiceField(
        label=_("Body parts"),
        required=False,
        choices=Study.BodyPart.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: all. A study without a body part always counts."),
    )
    critical_severities = forms.MultipleChoiceField(
        label=_("Severity"),
        required=False,
        choices=[(value, _SEVERITY_LABELS[value]) for value in SEVERITIES],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: all. A result without a severity always counts."),
    )
    critical_priority = forms.TypedChoiceField(
        label=_("At least this priority"), choices=Priority.choices, coerce=int
    )

    def __init__(self, *args: Any, people: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = dict(zip(PRIORITY_KEYS, Priority.labels, strict=True)) | dict(Verdict.choices)
        for key in (*PRIORITY_KEYS, *VERDICT_KEYS):
            self.fields[f"target_{key}"] = forms.IntegerField(
                label=labels[key], required=False, min_value=1, max_value=MAX_TARGET
            )
        for value, label in Study.BodyPart.choices:
            self.fields[f"views_{value}"] = forms.MultipleChoiceField(
                label=label,
                required=False,
                choices=[(view, VIEW_LABELS[view]) for view in VIEWS],
                widget=forms.CheckboxSelectMultiple,
            )
        for number in LEVELS:
            self.fields[f"people_{number}"] = forms.MultipleChoiceField(
                label=_("People"),
                required=False,
                choices=people,
                widget=forms.CheckboxSelectMultiple,
            )
            self.fields[f"minutes_{number}"] = forms.IntegerField(
                label=_("Minutes until the next level"),
                initial=15,
                required=False,
                min_value=1,
                max_value=MAX_TARGET,
            )

    def targets(self) -> list[forms.BoundField]:
        """Return the fields of the targets."""
        return [self[f"target_{key}"] for key in (*PRIORITY_KEYS, *VERDICT_KEYS)]

    def views(self) -> list[forms.BoundField]:
        """Return the fields of the expected views."""
        return [self[f"views_{value}"] for value in Study.BodyPart.values]

    def levels(self) -> list[tuple[int, forms.BoundField, forms.BoundField]]:
        """Return the fields of each level of people."""
        return [(n, self[f"people_{n}"], self[f"minutes_{n}"]) for n in LEVELS]

    def changes(self) -> dict[str, Any]:
        """Return the service's arguments; a level without people is left out."""
        data = self.cleaned_data
        levels = [
            {"people": data[f"people_{n}"], "minutes": data[f"minutes_{n}"] or 15} for n in LEVELS
        ]
        return {
            "targets": {key: data[f"target_{key}"] for key in (*PRIORITY_KEYS, *VERDICT_KEYS)},
            "views": {value: data[f"views_{value}"] for value in Study.BodyPart.values},
            "critical_enabled": data["critical_enabled"],
            "critical_regions": data["critical_regions"],
            "critical_severities": data["critical_severities"],
            "critical_priority": data["critical_priority"],
            "critical_levels": [level for level in levels if level["people"]],
        }


def rules_initial(rules: Rules, stored: Any) -> dict[str, Any]:
    """Return what the form shows at first."""
    initial: dict[str, Any] = {f"target_{key}": value for key, value in rules.targets.items()}
    initial |= {f"views_{part}": list(views) for part, views in rules.views.items()}
    initial["critical_priority"] = Priority.ROUTINE.value
    if stored is None:
        return initial
    for name in (
        "critical_enabled", "critical_regions", "critical_severities", "critical_priority",
    ):  # fmt: skip
        initial[name] = getattr(stored, name)
    for number, level in enumerate(stored.critical_levels, start=1):
        initial[f"people_{number}"] = level["people"]
        initial[f"minutes_{number}"] = level["minutes"]
    return initial
