"""A site validation in words and tables, for the page and for the PDF that is printed of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.utils import formats
from django.utils.translation import gettext as _

from diagnosis.documents.renderer import render_plain
from diagnosis.documents.text import clean_code, clean_line
from diagnosis.models import SiteValidation
from diagnosis.models.regions import region_label
from diagnosis.selectors.proportions import MINIMUM

_TEMPLATE: Final = Path(__file__).with_name("validation.typ")
_RATES: Final = (
    "sensitivity_suspicion",
    "specificity_suspicion",
    "sensitivity_definite",
    "specificity_definite",
)
_DIMENSIONS: Final = ("region", "age", "hardware", "view")
_NOTHING: Final = "\N{EN DASH}"


def render_validation(payload: Mapping[str, Any], *, at: datetime) -> bytes:
    """Return the payload as PDF bytes; the same validation always gives the same bytes.

    Raises:
        DocumentError: ``document_render_failed``.
    """
    return render_plain(_TEMPLATE.read_bytes(), _cleaned(payload), at=at)


def validation_payload(
    row: SiteValidation, *, clinic_name: str, intended_use: str, zone: ZoneInfo, language: str
) -> dict[str, Any]:
    """Return title, facts, a reading in plain words, and tables of a finished validation.

    The first column of the section ``missed`` holds ids of studies; nothing else names anybody.
    """
    result = row.result or {}
    return {
        "language": language,
        "title": _("Site validation"),
        "clinic": clinic_name,
        "facts": _facts(row, result, zone),
        "reading_title": _("What this says"),
        "reading": _reading(result),
        "sections": [
            _together(result),
            *(_group(result, dimension) for dimension in _DIMENSIONS),
            _missed(result),
        ],
        "method": _method(),
        "aid": _("Results aid, and do not replace, the judgement of a clinician."),
        "intended_use": intended_use,
        "page": _("Page"),
        "of": _("of"),
    }


def _facts(row: SiteValidation, result: Mapping[str, Any], zone: ZoneInfo) -> list[dict[str, str]]:
    limits = result["thresholds"]
    model = result["model"]
    made = row.finished_at.astimezone(zone) if row.finished_at else None
    facts = [
        (_("Model"), f"{model['name']} {model['version']}"),
        ("sha256", clean_code(model["sha256"])),
        (
            _("Operating points"),
            _("Suspicion from %(low)s, Fracture from %(high)s")
            % {"low": _decimal(limits["suspicion"]), "high": _decimal(limits["definite"])},
        ),
        (_("Studies that arrived"), f"{_day(row.first)} … {_day(row.last)}"),
        (_("Computed"), formats.date_format(made, "j F Y, H:i") if made else _NOTHING),
        (_("Validation"), str(row.pk)),
    ]
    return [{"label": str(label), "value": str(value)} for label, value in facts]


def _reading(result: Mapping[str, Any]) -> list[str]:
    whole, left = result["all"], result["left_out"]
    said = [
        _(
            "%(compared)s of %(studies)s studies were compared with their signed reports. "
            "%(fractured)s of them show a fracture; they belong to %(patients)s patients."
        )
        % {**whole, "compared": whole["studies"], "studies": result["studies"]},
        _(
            "Left out: %(not_reported)s without a signed report in force, %(undecided)s with an "
            "undecided finding, %(no_result)s without a result of this model on every image, "
            "%(cannot_assess)s that it could not assess."
        )
        % left,
        _sensitivity(whole),
        _specificity(whole),
    ]
    if result["missed_count"]:
        said.append(
            _("It called %(n)s fractured studies negative; they are listed below.")
            % {"n": result["missed_count"]}
        )
    said.append(
        _(
            "The reference is the newest signed report of each study. Doctors who saw the AI "
            "before they signed may have followed it, so the figures can look better than the "
            "model is. They hold for these studies of this clinic only."
        )
    )
    return said


def _sensitivity(whole: Mapping[str, Any]) -> str:
    found = whole["sensitivity_suspicion"]
    if found["value"] is None:
        return _(
            "There are %(n)s fractured studies. Of fewer than %(minimum)s no sensitivity is given."
        ) % {"n": found["n"], "minimum": MINIMUM}
    return _(
        "The model marked %(hits)s of %(n)s fractured studies, at least as a suspicion. With %(n)s "
        "fractured studies the sensitivity could be anywhere from %(low)s to %(high)s."
    ) % _counted(found)


def _specificity(whole: Mapping[str, Any]) -> str:
    found = whole["specificity_suspicion"]
    if found["value"] is None:
        return _(
            "There are %(n)s studies without a fracture. Of fewer than %(minimum)s no specificity "
            "is given."
        ) % {"n": found["n"], "minimum": MINIMUM}
    return _(
        "It marked nothing in %(hits)s of %(n)s studies without a fracture. With %(n)s of them the "
        "specificity could be anywhere from %(low)s to %(high)s."
    ) % _counted(found)


def _counted(found: Mapping[str, Any]) -> dict[str, Any]:
    low, high = found["ci95"]
    return {"hits": found["hits"], "n": found["n"], "low": _percent(low), "high": _percent(high)}


def _together(result: Mapping[str, Any]) -> dict[str, Any]:
    whole = result["all"]
    rows = [[_("Figure"), _("Value"), _("95 % interval"), _("Cases")]]
    for name, label in _labels().items():
        found = whole[name]
        rows.append([label, _percent(found["value"]), _interval(found), _cases(found)])
    area = whole["auroc"]
    rows.append([_("AUROC"), _decimal(area["value"]), _interval(area, _decimal), str(area["n"])])
    return {"key": "all", "title": _("All compared studies"), "rows": rows}


def _group(result: Mapping[str, Any], dimension: str) -> dict[str, Any]:
    titles = {
        "region": _("By body region, as the model saw it"),
        "age": _("By age in years"),
        "hardware": _("By metal in the picture"),
        "view": _("By projections of the study"),
    }
    head = [_("Group"), _("Studies"), _("Fractured"), *_labels().values(), _("AUROC")]
    rows = [head]
    for value, found in result["groups"][dimension].items():
        rates = [_short(found[name]) for name in _RATES]
        counts = [str(found["studies"]), str(found["fractured"])]
        area = _short(found["auroc"], _decimal)
        rows.append([_value(dimension, value), *counts, *rates, area])
    return {"key": dimension, "title": titles[dimension], "rows": rows}


def _missed(result: Mapping[str, Any]) -> dict[str, Any]:
    rows = [[_("Study"), _("Probability"), _("Body region")]]
    for case in result["missed"]:
        region = region_label(case["region"]) if case["region"] else _NOTHING
        rows.append([case["study"], _decimal(case["probability"]), region])
    shown, count = len(result["missed"]), result["missed_count"]
    note = _("None.")
    if count:
        note = _("%(shown)s of %(count)s, the lowest probability first.") % {
            "shown": shown,
            "count": count,
        }
    return {"key": "missed", "title": _("Fractures that it missed"), "note": note, "rows": rows}


def _method() -> str:
    return _(
        "A study counts as fractured where doctors accepted, moved or added a finding, and as not "
        "fractured where they rejected every finding or there was none. Its answer is that of its "
        "worst image. Intervals are 95 %%: of shares the wider of a bootstrap over patients and "
        "Wilson's, of the AUROC the bootstrap. No figure is given of fewer than %(n)s cases."
    ) % {"n": MINIMUM}


def _labels() -> dict[str, str]:
    return {
        "sensitivity_suspicion": _("Sensitivity, Suspicion or Fracture"),
        "specificity_suspicion": _("Specificity, Suspicion or Fracture"),
        "sensitivity_definite": _("Sensitivity, Fracture only"),
        "specificity_definite": _("Specificity, Fracture only"),
    }


def _value(dimension: str, value: str) -> str:
    if not value:
        return _("Unknown")
    if dimension == "region":
        return region_label(value)
    words = {
        "with": _("Metal visible"),
        "without": _("No metal"),
        "frontal": _("frontal"),
        "lateral": _("lateral"),
        "oblique": _("oblique"),
    }
    return (
        " + ".join(words.get(part, part) for part in value.split("+"))
        if dimension != "age"
        else value
    )


def _short(found: Mapping[str, Any], write: Any = None) -> str:
    """Return a figure with its interval in one cell, or the counts of too few cases."""
    write = write or _percent
    if found["value"] is None:
        return _cases(found) if "hits" in found else _NOTHING
    interval = _interval(found, write)
    return f"{write(found['value'])} ({interval})"


def _interval(found: Mapping[str, Any], write: Any = None) -> str:
    write = write or _percent
    if not found["ci95"]:
        return _NOTHING
    low, high = found["ci95"]
    return f"{write(low)} … {write(high)}"


def _cases(found: Mapping[str, Any]) -> str:
    return _("%(hits)s of %(n)s") % {"hits": found["hits"], "n": found["n"]}


def _percent(value: float | None) -> str:
    return _NOTHING if value is None else f"{formats.number_format(round(100 * value, 1), 1)} %"


def _decimal(value: float | None) -> str:
    return _NOTHING if value is None else str(formats.number_format(round(value, 3), 3))


def _day(value: Any) -> str:
    return str(formats.date_format(value, "j F Y"))


def _cleaned(value: Any) -> Any:
    """Return the payload with every text printable."""
    if isinstance(value, str):
        return clean_line(value) if len(value) != 64 else clean_code(value)
    if isinstance(value, Mapping):
        return {name: _cleaned(each) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [_cleaned(each) for each in value]
    return value
