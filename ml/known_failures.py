"""Draw where the model is known to fail: ``python -m ml.known_failures --out FILE.jpg``.

Synthetic pictures only, so that the sheet may be shown anywhere: a broken bone the model should
find, then the same break where its figures are worst. Under each picture stands what the model says
of it, whatever that is. Run-time requirements only.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.data import imitations
from ml.data.synthetic import synthetic_radiograph, to_png
from ml.overlay import TRUE, Mark, draw, marks_of
from ml.predictor import WEIGHTS_FOLDER, load_predictor

Gray = npt.NDArray[np.uint8]
_HEIGHT = 640


@dataclass(frozen=True, slots=True)
class Case:
    """One picture of the sheet: what is drawn, and how it is changed."""

    words: str
    seed: int
    change: Callable[[Gray], Gray]


def _as_it_is(picture: Gray) -> Gray:
    return picture


def _doubled(picture: Gray) -> Gray:
    """Put two exposures on one film: each is half as fine after the model's reduction."""
    other = synthetic_radiograph(12, size=(picture.shape[1], picture.shape[0])).pixels
    return np.hstack([picture, np.asarray(other, np.uint8)])


def _inverted(picture: Gray) -> Gray:
    return imitations.inverted(picture, np.random.default_rng(0))


def _dark(picture: Gray) -> Gray:
    return imitations.deep(picture, np.random.default_rng(0))


CASES = (
    Case("A displaced break", 11, _as_it_is),
    Case("The same, bone dark on bright", 11, _inverted),
    Case("The same, two exposures on one film", 11, _doubled),
    Case("Another break, exposed too dark", 13, _dark),
)


def sheet(model: Path) -> Image.Image:
    """Return all cases side by side, with the model's own words."""
    predictor = load_predictor(model)
    panels = []
    for case in CASES:
        drawn = synthetic_radiograph(case.seed, fractured=True)
        picture = case.change(np.asarray(drawn.pixels, np.uint8))
        answer = predictor.predict(to_png(picture))
        share = "no answer" if answer.probability is None else f"{answer.probability:.0%}"
        marks = list(marks_of(answer))
        if drawn.box is not None:
            marks.append(Mark(drawn.box, color=TRUE))
        lines = [case.words, f"{answer.verdict.value.replace('_', ' ')}, {share}"]
        panel = draw(picture, marks, lines)
        width = round(panel.width * _HEIGHT / panel.height)
        panels.append(panel.resize((width, _HEIGHT), Image.Resampling.LANCZOS))
    result = Image.new("RGB", (sum(p.width + 8 for p in panels) - 8, _HEIGHT))
    left = 0
    for panel in panels:
        result.paste(panel, (left, 0))
        left += panel.width + 8
    return result


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and write the sheet."""
    parser = argparse.ArgumentParser(prog="python -m ml.known_failures", description=__doc__)
    parser.add_argument("--model", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--out", type=Path, default=Path("docs/known-failures.jpg"))
    arguments = parser.parse_args(argv)
    sheet(arguments.model).save(arguments.out, quality=82)


if __name__ == "__main__":
    main()
