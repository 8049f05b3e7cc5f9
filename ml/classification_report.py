"""The predictions of a classification run as a file, and the figures that follow from them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.data.fracatlas import Sample
from ml.labels import BODY_REGIONS
from ml.metrics import Estimate, IntArray, auroc, average_precision, bootstrap
from ml.metrics import sensitivity_at_specificity as sensitivity_at

_MIN_GROUP = 8  # positives and negatives; below, an interval says nothing
_COLUMNS = ("image_id", "part", "block", "region", "hardware", "fractured", "probability")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network said about one labelled picture; the region is the labelled one."""

    image_id: str
    part: str
    block: str
    region: str
    hardware: bool
    fractured: bool
    probability: float

    @classmethod
    def of(cls, sample: Sample, part: str, probability: float) -> "Answer":
        """Join the labels of a picture with the probability that was answered."""
        region = BODY_REGIONS[sample.body_region] if sample.body_region >= 0 else ""
        return cls(
            image_id=sample.image_id,
            part=part,
            block=sample.block,
            region=region,
            hardware=sample.hardware,
            fractured=sample.fractured,
            probability=probability,
        )


def write_answers(answers: Sequence[Answer], path: Path) -> None:
    """Write the answers as CSV, one row a picture."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for a in answers:
            flags = (int(a.hardware), int(a.fractured))
            writer.writerow([a.image_id, a.part, a.block, a.region, *flags, repr(a.probability)])


def read_answers(path: Path) -> list[Answer]:
    """Read what ``write_answers`` wrote.

    Raises:
        ValueError: a column is missing.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = set(_COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path} lacks the columns {sorted(missing)}")
        return [
            Answer(
                image_id=row["image_id"],
                part=row["part"],
                block=row["block"],
                region=row["region"],
                hardware=row["hardware"] == "1",
                fractured=row["fractured"] == "1",
                probability=float(row["probability"]),
            )
            for row in reader
        ]


def figures(answers: Sequence[Answer], *, draws: int = 500) -> dict[str, Estimate]:
    """Return the figures of some answers with intervals by bootstrap over blocks."""
    labels = np.array([a.fractured for a in answers], bool)
    scores = np.array([a.probability for a in answers], np.float64)
    blocks = [a.block for a in answers]

    def area(rows: IntArray) -> float:
        return auroc(labels[rows], scores[rows])

    def precision(rows: IntArray) -> float:
        return average_precision(labels[rows], scores[rows])

    def sensitivity(rows: IntArray) -> float:
        return sensitivity_at(labels[rows], scores[rows], 0.80)

    found = {
        name: bootstrap(statistic, blocks=blocks, labels=labels.tolist(), draws=draws)
        for name, statistic in (
            ("auroc", area),
            ("auprc", precision),
            ("sensitivity_at_specificity_80", sensitivity),
        )
    }
    without = [a for a in answers if not a.hardware]
    found["auroc_without_hardware"] = bootstrap(
        lambda rows: auroc(
            [without[i].fractured for i in rows], [without[i].probability for i in rows]
        ),
        blocks=[a.block for a in without],
        labels=[a.fractured for a in without],
        draws=draws,
    )
    return found


def by_region(answers: Sequence[Answer], *, draws: int = 500) -> dict[str, dict[str, object]]:
    """Return, for each region, how many pictures there are and the AUROC if they suffice for one.

    Some regions have a handful of fractures: below eight of either label, or with the fractures
    of one block only, there is no figure because its interval would say nothing.
    """
    report: dict[str, dict[str, object]] = {}
    for region in sorted({a.region for a in answers if a.region}):
        inside = [a for a in answers if a.region == region]
        positives = [a for a in inside if a.fractured]
        enough = min(len(positives), len(inside) - len(positives)) >= _MIN_GROUP
        entry: dict[str, object] = {"pictures": len(inside), "fractured": len(positives)}
        if enough and len({a.block for a in positives}) > 1:
            entry["auroc"] = figures(inside, draws=draws)["auroc"].as_json()
        report[region] = entry
    return report
