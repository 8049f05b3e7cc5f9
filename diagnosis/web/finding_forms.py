"""Forms of the list of findings; the rules are in the services."""

from typing import Any

from django import forms
from django.db.models import TextChoices
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis.models.vocabulary import (
    Bone,
    Displacement,
    FractureType,
    Laterality,
    RejectReason,
    Severity,
)
from diagnosis.selectors.findings import ReviewedFinding
from diagnosis.web.finding_words import word
from fracture_site.common.errors import RefusedInputError

# In the order in which a sentence says them.
_WORDS: dict[str, tuple[Any, type[TextChoices]]] = {
    "bone": (_("Bone"), Bone),
    "laterality": (_("Side"), Laterality),
    "fracture_type": (_("Type"), FractureType),
    "displacement": (_("Displacement"), Displacement),
    "severity": (_("Severity"), Severity),
}


class FindingForm(forms.Form):
    """How a doctor describes a fracture; what the AI suggests is told, never chosen."""

    def __init__(self, data: Any = None, *, found: ReviewedFinding) -> None:
        super().__init__(data, auto_id=f"id_{found.id}_%s")
        for name, (label, words) in _WORDS.items():
            self.fields[name] = forms.ChoiceField(
                label=label,
                required=False,
                initial=found.described(name),
                choices=[("", _blank(found, name)), *words.choices],
            )

    def given(self) -> dict[str, str]:
        """Return what was sent; unknown words are refused by the service."""
        return {name: self.data[name] for name in _WORDS if name in self.data}


def _blank(found: ReviewedFinding, name: str) -> str:
    code = found.suggested(name)
    if not code:
        return gettext("Not said")
    return gettext("Not said (AI suggests: %(word)s)") % {"word": word(name, code)}


class RejectForm(forms.Form):
    """Why a marked place is no fracture."""

    reason = forms.ChoiceField(label=_("Reason"), choices=RejectReason.choices)
    text = forms.CharField(label=_("Remark"), required=False, max_length=500)


class BoxForm(forms.Form):
    """A box that was drawn, in pixels of the image."""

    x = forms.FloatField()
    y = forms.FloatField()
    width = forms.FloatField()
    height = forms.FloatField()

    def box(self) -> tuple[float, float, float, float]:
        """Return the box.

        Raises:
            RefusedInputError: ``box_unusable``.
        """
        if not self.is_valid():
            raise RefusedInputError("box_unusable", _("Draw a box on the image."))
        x, y, width, height = (self.cleaned_data[n] for n in ("x", "y", "width", "height"))
        return x, y, width, height
