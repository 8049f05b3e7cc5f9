"""Measure the quality gate: ``python -m ml.gate_report --data DIR --json OUT --markdown OUT``.

Looks at the test part of the radiographs (and copies of them as other machines, phones and bad
exposures give them), at real children's chests, abdomens and skulls that the gate was not fitted
on, at drawings with other seeds, and, with ``--strangers``, at a folder of real pictures
(``python -m ml.data.strangers.collect``), grouped by what their sources are for: ``taught``,
``development``, ``test``. Run-time requirements only.

The rule for a right reason: that of what the picture is. One without contrast (``blank``) and one
of fewer than 128 pixels (``too_small``) show nobody what they are: these reasons are right for any
stranger of which they are true, and are counted apart. ``too_dark``, ``too_bright`` and ``blurred``
would have the wrong thing repeated; for a stranger they are wrong.
"""

import argparse
import json
import logging
import math
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
from ml.data.real_strangers import as_gathered
from ml.data.splits import read_split
from ml.decoding import DecodedImage
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
# Right for whatever shows too little to be told.
NOTHING_TO_TELL = frozenset({"blank", "too_small"})
_STRANGER, _SPOILED = "stranger", "spoiled"

Case = tuple[str, Recipe]  # its group in the table, and how the picture is made


@dataclass(slots=True)
class Row:
    """One line of the table.

    Attributes:
        group: ``limb`` (must pass), ``photo`` (must pass with a warning), or what it really is:
            ``stranger, test``, ``stranger, drawn`` ..., ``spoiled``.
        wanted: reason that is right, ``""`` for what must pass.
        right, told: how often it was among the reasons, or ``NOTHING_TO_TELL``; and without these.
        probabilities: of a fracture, by origin, where one was given.
    """

    group: str
    source: str
    wanted: str
    n: int = 0
    refused: int = 0
    right: int = 0
    told: int = 0
    warned: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    probabilities: dict[str, float] = field(default_factory=dict)

    def add(self, origin: str, prediction: Prediction) -> None:
        """Count one answer about a picture of that origin."""
        if prediction.probability is not None:
            self.probabilities[origin] = prediction.probability
        self.n += 1
        self.refused += bool(prediction.reasons)
        told = self.wanted in prediction.reasons
        self.told += told
        empty = self.group.startswith(_STRANGER) and not NOTHING_TO_TELL.isdisjoint(
            prediction.reasons
        )
        self.right += told or empty
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
    """Return one row for each group, and for the films and the copies among the limbs."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        parts = ["all"]
        if row.group == "limb":
            parts.append("as taken" if row.source == "film" else "copies")
        for part in parts:
            total = found.setdefault((row.group, part), Row(row.group, part, ""))
            for name in ("n", "refused", "right", "told", "warned"):
                setattr(total, name, getattr(total, name) + getattr(row, name))
            total.reasons.update(row.reasons)
    return list(found.values())


def share(hits: int, count: int) -> str:
    """Return hits, their share and its 95 % interval (Wilson)."""
    z, p = 1.96, hits / count
    centre = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count**2)) / (1 + z * z / count)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return f"{hits} ({p:.1%}; {low:.1%} to {high:.1%})"


def as_json(row: Row) -> dict[str, Any]:
    """Return plain values."""
    return {
        "group": row.group,
        "source": row.source,
        "n": row.n,
        "refused": row.refused,
        "right_reason": row.right,
        "right_without_blank": row.told,
        "photo_warning": row.warned,
        "reasons": dict(row.reasons.most_common()),
    }


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the table for people."""
    lines = [
        "| group | source | n | refused | right reason | told what it is | photo warning |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        refused, right, told = (share(hits, row.n) for hits in (row.refused, row.right, row.told))
        if not row.group.startswith((_SPOILED, _STRANGER)):
            right = told = "-"
        lines.append(
            f"| {row.group} | {row.source} | {row.n} | {refused} | {right} | {told} "
            f"| {row.warned} |"
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
    real = as_gathered(arguments.strangers) if arguments.strangers is not None else []
    cases = [
        *radiographs(test[::stride], each=arguments.each, photos=arguments.photos),
        *(("stranger, test", recipe) for recipe in trunks(unseen, copies=0, seed=_SEED)),
        *((f"stranger, {use}", recipe) for use, recipe in real),
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
