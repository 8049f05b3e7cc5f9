"""Measure the quality gate: ``python -m ml.gate_report --data DIR --json OUT --markdown OUT``.

Looks at the test part of the radiographs (and copies of them as other machines, phones and bad
exposures give them), at real children's chests, abdomens and skulls that the gate was not fitted
on, at drawings with other seeds, and, with ``--strangers``, at a folder of real pictures
(``python -m ml.data.strangers.collect``): ``DIR/<kind>/<source>/<name>.png``. Run-time
requirements only.
"""

import argparse
import json
import logging
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.contracts import Prediction
from ml.data.fracatlas import Sample, read_samples
from ml.data.gate_pictures import GatePicture, drawings, photo_of, read_cutouts, trunks
from ml.data.imitations import IMITATIONS
from ml.data.pictures import read_grey
from ml.data.splits import read_split
from ml.decoding import DecodedImage
from ml.decoding_common import has_real_color
from ml.gate import FILM_PHOTO, LIMB, PHOTO_WARNING, REASON_OF
from ml.predictor import WEIGHTS_FOLDER, FracturePredictor, load_predictor
from ml.stopwatch import Stopwatch

logger = logging.getLogger("ml.gate_report")
_SEED = 3
Gray = npt.NDArray[np.uint8]

# What a bad exposure or a bad copy does, and the reason it must be refused with.
SPOILED: dict[str, tuple[str, Callable[[Gray], Gray]]] = {
    "underexposed": ("too_dark", lambda film: (film * 0.1).astype(np.uint8)),
    "overexposed": ("too_bright", lambda film: (255 - (255 - film) * 0.15).astype(np.uint8)),
    "out of focus": ("blurred", lambda film: _blurred(film, 0.015)),
    "thumbnail": ("too_small", lambda film: _shrunk(film, 100)),
    "empty": ("blank", lambda film: np.full_like(film, int(film.mean()))),
}


@dataclass(slots=True)
class Row:
    """One line of the table.

    Attributes:
        group: ``limb`` (must pass), ``photo`` (must pass with a warning), or what it really is:
            ``stranger, real``, ``stranger, drawn``, ``spoiled``.
        wanted: reason that is right, ``""`` for what must pass.
    """

    group: str
    source: str
    wanted: str
    n: int = 0
    refused: int = 0
    right: int = 0
    warned: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, prediction: Prediction) -> None:
        """Count one answer."""
        self.n += 1
        self.refused += bool(prediction.reasons)
        self.right += self.wanted in prediction.reasons
        self.warned += PHOTO_WARNING in prediction.warnings
        self.reasons.update(prediction.reasons)


def answer(predictor: FracturePredictor, pixels: Gray, *, has_color: bool) -> Prediction:
    """Return the whole answer for decoded pixels, as for an uploaded PNG file."""
    decoded = DecodedImage(
        frames=(pixels,),
        bits=8,
        format="png",
        width=pixels.shape[1],
        height=pixels.shape[0],
        frame_count=1,
        was_color=has_color,
    )
    return predictor.judge(decoded, pixels, Stopwatch())[0]


def radiographs(
    samples: Sequence[Sample], each: int
) -> Iterator[tuple[str, str, str, GatePicture]]:
    """Yield group, source, wanted reason and picture for everything made from real limbs."""
    rng = np.random.default_rng(_SEED)
    for sample in samples:
        yield "limb", "as taken", "", _limb(sample, read_grey(sample.path))
    for name, imitate in IMITATIONS.items():
        for sample in _some(samples, each, rng):
            yield "limb", name, "", _limb(sample, imitate(read_grey(sample.path), rng))
    for sample in _some(samples, each, rng):
        film = read_grey(sample.path)
        picture = photo_of(film, FILM_PHOTO, FILM_PHOTO, sample.image_id, rng)
        yield (
            "photo",
            "photo of a film, coloured" if picture.has_color else ("photo of a film, grey"),
            "",
            picture,
        )
    for name, (reason, spoil) in SPOILED.items():
        for sample in _some(samples, each, rng):
            yield "spoiled", name, reason, _limb(sample, spoil(read_grey(sample.path)))


def strangers(folder: Path) -> Iterator[tuple[str, str, str, GatePicture]]:
    """Yield the real pictures of a folder; coloured ones a second time without their colour."""
    for path in sorted(folder.glob("*/*/*.png")):
        kind, source = path.parts[-3:-1]
        with Image.open(path) as image:
            rgb = np.asarray(image.convert("RGB"))
            gray = np.asarray(image.convert("L"), np.uint8)
        colors = (True, False) if has_real_color(rgb) else (False,)
        for color in colors:
            name = f"{source}, {'colour' if color else 'grey'}"
            picture = GatePicture(gray, kind, source, path.stem, has_color=color)
            yield "stranger, real", name, REASON_OF[kind], picture


def measured(
    predictor: FracturePredictor, pictures: Iterable[tuple[str, str, str, GatePicture]]
) -> tuple[list[Row], float]:
    """Return one row for each group and source, and the median milliseconds of the gate."""
    rows: dict[tuple[str, str], Row] = {}
    times: list[float] = []
    for group, source, wanted, picture in pictures:
        prediction = answer(predictor, picture.pixels, has_color=picture.has_color)
        rows.setdefault((group, source), Row(group, source, wanted)).add(prediction)
        times.append(prediction.timings_ms["quality"])
    return list(rows.values()), round(statistics.median(times), 2)


def summed(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each group."""
    found: dict[str, Row] = {}
    for row in rows:
        total = found.setdefault(row.group, Row(row.group, "all", ""))
        for name in ("n", "refused", "right", "warned"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
        total.reasons.update(row.reasons)
    return list(found.values())


def as_json(row: Row) -> dict[str, Any]:
    """Return plain values."""
    return {
        "group": row.group,
        "source": row.source,
        "n": row.n,
        "refused": row.refused,
        "right_reason": row.right,
        "photo_warning": row.warned,
        "reasons": dict(row.reasons.most_common()),
    }


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the table for people."""
    lines = [
        "| group | source | n | refused | right reason | photo warning |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        right = f"{row.right} ({row.right / row.n:.1%})" if row.group[0] == "s" else "-"
        lines.append(
            f"| {row.group} | {row.source} | {row.n} | {row.refused} ({row.refused / row.n:.1%}) "
            f"| {right} | {row.warned} |"
        )
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line, measure, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m ml.gate_report", description=__doc__)
    parser.add_argument("--model", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--strangers", type=Path, default=None)
    parser.add_argument(
        "--split", type=Path, default=Path(__file__).parent / "data" / "splits" / "fracatlas_v1.csv"
    )
    parser.add_argument("--each", type=int, default=40, help="pictures for each kind of copy")
    parser.add_argument("--drawings", type=int, default=8, help="pictures of each drawing")
    parser.add_argument("--films", type=int, default=0, help="real films at most, 0: all")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parts, everything = read_split(arguments.split), read_samples(arguments.data)
    trunk = {cutout.image_id for cutout in read_cutouts()}
    test = [s for s in everything if parts.get(s.image_id) == "test" and s.image_id not in trunk]
    unseen = [s for s in everything if parts.get(s.image_id) in {"test", "validation"}]
    predictor = load_predictor(arguments.model)
    stride = max(1, len(test) // arguments.films) if arguments.films else 1

    def pictures() -> Iterator[tuple[str, str, str, GatePicture]]:
        yield from radiographs(test[::stride], arguments.each)
        for picture in trunks(unseen, copies=0, seed=_SEED):
            yield "stranger, real", picture.source, REASON_OF[picture.kind], picture
        if arguments.strangers is not None:
            yield from strangers(arguments.strangers)
        for picture in drawings(arguments.drawings, seed=_SEED):
            yield "stranger, drawn", picture.source, REASON_OF[picture.kind], picture

    rows, milliseconds = measured(predictor, pictures())
    table = as_markdown([*summed(rows), *rows])
    result = {
        "model": predictor.info.sha256,
        "milliseconds_median": milliseconds,
        "groups": [as_json(row) for row in summed(rows)],
        "rows": [as_json(row) for row in rows],
    }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if arguments.markdown is not None:
        arguments.markdown.write_text(table, encoding="utf-8")
    logger.info("%s\nmedian milliseconds of all checks: %s", table, milliseconds)


def _limb(sample: Sample, pixels: Gray) -> GatePicture:
    return GatePicture(pixels, LIMB, LIMB, sample.image_id)


def _some(samples: Sequence[Sample], count: int, rng: np.random.Generator) -> list[Sample]:
    return [samples[int(k)] for k in rng.permutation(len(samples))[:count]]


def _blurred(film: Gray, share: float) -> Gray:
    return np.asarray(cv2.GaussianBlur(film, (0, 0), share * max(film.shape)), np.uint8)


def _shrunk(film: Gray, side: int) -> Gray:
    factor = side / min(film.shape)
    small = cv2.resize(film, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


if __name__ == "__main__":
    main()
