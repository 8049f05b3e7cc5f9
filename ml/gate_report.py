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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.contracts import Prediction
from ml.data.fracatlas import Sample, read_samples
from ml.data.gate_pictures import (
    GatePicture,
    Recipe,
    copy_of,
    drawings,
    film_of,
    film_photo_of,
    read_cutouts,
    trunks,
)
from ml.data.imitations import IMITATIONS
from ml.data.pictures import read_grey
from ml.data.splits import read_split
from ml.decoding import DecodedImage
from ml.decoding_common import has_real_color
from ml.gate import FILM_PHOTO, LIMB, PHOTO_WARNING, REASON_OF
from ml.manifest import read_manifest
from ml.metrics import auroc
from ml.predictor import WEIGHTS_FOLDER, FracturePredictor, load_predictor
from ml.stopwatch import Stopwatch

logger = logging.getLogger("ml.gate_report")
_SEED = 3
Gray = npt.NDArray[np.uint8]

# What a bad exposure or a bad copy is refused with.
SPOILED = {
    "underexposed": "too_dark",
    "overexposed": "too_bright",
    "out of focus": "blurred",
    "thumbnail": "too_small",
    "empty": "blank",
}


Case = tuple[str, Recipe]  # its group in the table, and how the picture is made


@dataclass(slots=True)
class Row:
    """One line of the table.

    Attributes:
        group: ``limb`` (must pass), ``photo`` (must pass with a warning), or what it really is:
            ``stranger, real``, ``stranger, drawn``, ``spoiled``.
        wanted: reason that is right, ``""`` for what must pass.
        probabilities: of a fracture, by origin, where one was given.
    """

    group: str
    source: str
    wanted: str
    n: int = 0
    refused: int = 0
    right: int = 0
    warned: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    probabilities: dict[str, float] = field(default_factory=dict)

    def add(self, origin: str, prediction: Prediction) -> None:
        """Count one answer about a picture of that origin."""
        if prediction.probability is not None:
            self.probabilities[origin] = prediction.probability
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


def radiographs(samples: Sequence[Sample], *, each: int, photos: int) -> list[Case]:
    """Return everything made from real limbs: as taken, copies, photos and spoiled ones."""
    rng = np.random.default_rng(_SEED)

    def some(count: int = each) -> list[Sample]:
        return [samples[int(k)] for k in rng.permutation(len(samples))[:count]]

    return [
        *(("limb", partial(film_of, sample)) for sample in samples),
        *(
            ("limb", partial(copy_of, sample, name, _SEED))
            for name in IMITATIONS
            for sample in some()
        ),
        *(("photo", partial(film_photo_of, sample, _SEED)) for sample in some(photos)),
        *(("spoiled", partial(spoiled, sample, name)) for name in SPOILED for sample in some()),
    ]


def spoiled(sample: Sample, name: str) -> GatePicture:
    """Return a radiograph that no one could judge any more."""
    film = read_grey(sample.path)
    if name == "underexposed":
        film = np.asarray(film * 0.1, np.uint8)
    elif name == "overexposed":
        film = np.asarray(255 - (255 - film) * 0.15, np.uint8)
    elif name == "out of focus":
        blurred = cv2.GaussianBlur(film, (0, 0), 0.015 * max(film.shape))
        film = np.asarray(blurred, np.uint8)
    elif name == "thumbnail":
        factor = 100 / min(film.shape)
        small = cv2.resize(film, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        film = np.asarray(small, np.uint8)
    else:
        film = np.full_like(film, int(film.mean()))
    return GatePicture(film, LIMB, name, sample.image_id)


def strangers(folder: Path) -> list[Case]:
    """Return the real pictures of a folder; coloured ones a second time without their colour."""
    cases: list[Case] = []
    for path in sorted(folder.glob("*/*/*.png")):
        with Image.open(path) as image:
            colored = has_real_color(np.asarray(image.convert("RGB")))
        cases.append(("stranger, real", partial(stranger, path)))
        if colored:
            cases.append(("stranger, real", partial(stranger, path, has_color=True)))
    return cases


def stranger(path: Path, *, has_color: bool = False) -> GatePicture:
    """Return one picture of a folder of strangers, whose grandparent names the class."""
    with Image.open(path) as image:
        gray = np.asarray(image.convert("L"), np.uint8)
    source = f"{path.parts[-2]}, {'colour' if has_color else 'grey'}"
    return GatePicture(gray, path.parts[-3], source, path.stem, has_color=has_color)


def measured(model: Path, cases: Sequence[Case], *, workers: int) -> tuple[list[Row], float]:
    """Return one row for each group and source, and the median milliseconds of all checks."""
    rows: dict[tuple[str, str], Row] = {}
    times = []
    # Not forked: a copy of a process whose inference threads hold a lock waits for ever.
    with get_context("spawn").Pool(workers, _start, (model,)) as pool:
        answers = pool.imap(_answer, [recipe for _, recipe in cases], chunksize=8)
        for (group, _), (picture, prediction) in zip(cases, answers, strict=True):
            kind, source = picture.kind, picture.source
            wanted = SPOILED.get(source, REASON_OF.get(kind, ""))
            rows.setdefault((group, source), Row(group, source, wanted))
            rows[group, source].add(picture.origin, prediction)
            times.append(prediction.timings_ms["quality"])
    return list(rows.values()), round(statistics.median(times), 2)


_predictors: list[FracturePredictor] = []  # the one of this process


def _start(model: Path) -> None:
    cv2.setNumThreads(1)
    _predictors.append(load_predictor(model))


def _answer(recipe: Recipe) -> tuple[GatePicture, Prediction]:
    picture = recipe()
    prediction = answer(_predictors[-1], picture.pixels, has_color=picture.has_color)
    # Pixels and heatmap are not needed any more and large to hand over.
    nothing = np.zeros((1, 1), np.uint8)
    return replace(picture, pixels=nothing), replace(prediction, heatmap=None, findings=())


def ranking(rows: Sequence[Row], fractured: Mapping[str, bool]) -> dict[str, Any]:
    """Return how well fractures are told on photos, beside the same films as taken."""
    found = {(row.group, row.source): row.probabilities for row in rows}
    photos, films = found.get(("photo", FILM_PHOTO), {}), found.get(("limb", "film"), {})
    both = sorted(photos.keys() & films.keys())
    labels = np.array([fractured[origin] for origin in both], bool)
    if labels.all() or not labels.any():
        return {}
    return {
        "pictures": len(both),
        "fractured": int(labels.sum()),
        "auroc_photo": round(auroc(labels, np.array([photos[o] for o in both])), 3),
        "auroc_film": round(auroc(labels, np.array([films[o] for o in both])), 3),
    }


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
    parser.add_argument("--photos", type=int, default=200, help="photographed films")
    parser.add_argument("--drawings", type=int, default=8, help="pictures of each drawing")
    parser.add_argument("--films", type=int, default=0, help="real films at most, 0: all")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parts, everything = read_split(arguments.split), read_samples(arguments.data)
    trunk = {cutout.image_id for cutout in read_cutouts()}
    test = [s for s in everything if parts.get(s.image_id) == "test" and s.image_id not in trunk]
    unseen = [s for s in everything if parts.get(s.image_id) in {"test", "validation"}]
    stride = max(1, len(test) // arguments.films) if arguments.films else 1
    cases = [
        *radiographs(test[::stride], each=arguments.each, photos=arguments.photos),
        *(("stranger, real", recipe) for recipe in trunks(unseen, copies=0, seed=_SEED)),
        *(strangers(arguments.strangers) if arguments.strangers is not None else ()),
        *(("stranger, drawn", recipe) for recipe in drawings(arguments.drawings, seed=_SEED)),
    ]
    rows, milliseconds = measured(arguments.model, cases, workers=arguments.workers)
    table = as_markdown([*summed(rows), *rows])
    result = {
        "model": read_manifest(arguments.model).info.sha256,
        "milliseconds_median": milliseconds,
        "fractures_on_photos": ranking(rows, {s.image_id: s.fractured for s in test}),
        "groups": [as_json(row) for row in summed(rows)],
        "rows": [as_json(row) for row in rows],
    }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if arguments.markdown is not None:
        arguments.markdown.write_text(table, encoding="utf-8")
    logger.info("%s\n%s", table, {k: v for k, v in result.items() if k not in {"groups", "rows"}})


if __name__ == "__main__":
    main()
