"""Every text colour reaches WCAG AA (4.5 : 1) on every ground, in every theme."""

import itertools
import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).resolve().parents[2] / "static" / "css" / "tokens.css"
TEXTS = ("ink", "quiet", "link", "accent", "danger", "warning", "info", "success", "neutral")
GROUNDS = ("ground", "surface", "raised", "sunken")
TONES = ("danger", "warning", "info", "success", "neutral")


def colours(selector: str) -> dict[str, str]:
    block = TOKENS.read_text(encoding="utf-8").split(f"{selector} {{\n", 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--fs-([\w-]+):\s*(#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def theme(name: str) -> dict[str, str]:
    light = colours('[data-bs-theme="light"]')
    if name == "light":
        return light
    dark = light | colours('[data-bs-theme="dark"]')
    return dark if name == "dark" else dark | colours('[data-theme="reading"]')


@pytest.mark.parametrize("name", ["light", "dark", "reading"])
def test_text_can_be_read_on_every_ground(name: str) -> None:
    values = theme(name)
    pairs = [
        *itertools.product(TEXTS, GROUNDS),
        *((tone, f"{tone}-soft") for tone in TONES),
        ("accent", "accent-soft"),
        ("on-accent", "accent"),
        ("on-accent", "accent-strong"),
    ]
    poor = {pair: contrast(values[pair[0]], values[pair[1]]) for pair in pairs}

    assert not {pair: ratio for pair, ratio in poor.items() if ratio < 4.5}


@pytest.mark.parametrize("name", ["light", "dark", "reading"])
def test_edges_of_fields_can_be_seen(name: str) -> None:
    values = theme(name)

    assert contrast(values["line-strong"], values["surface"]) >= 3
