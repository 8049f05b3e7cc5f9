"""What each part of the recipe gave: ``python -m ml.ablation --data DIR --weights FILE --out DIR``.

Trains the variants of ``ml/configs/ablation.toml`` one after another, each in a process of its own
with the same small budget, and measures them on the validation part (the test part stays unread)
with 95 % intervals by bootstrap over blocks. Finished variants are kept: start again to go on.
Writes ``ablation.json``, ``ablation.md`` and the learning curves ``learning_curves.csv``. Needs
``requirements-train.txt``.
"""

import argparse
import csv
import json
import logging
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.architectures.detector import build_detector
from ml.data.fracatlas import Sample, read_samples
from ml.data.splits import read_split
from ml.metrics import (
    Estimate,
    IntArray,
    auroc,
    bootstrap,
    match_places,
    places_average_precision,
)
from ml.scoring import Score, score
from ml.train import overridden

logger = logging.getLogger("ml.ablation")
_HERE = Path(__file__).parent
_BOX_IOU = 0.3


@dataclass(frozen=True, slots=True)
class Variant:
    """One line of the table."""

    name: str
    settings: tuple[str, ...]
    pretrained: bool
    seed: int

    @property
    def folder(self) -> str:
        """Return the name as a folder's name."""
        return f"{self.name.replace(' ', '_').replace(',', '')}_{self.seed}"


def variants(plan: dict[str, Any]) -> list[Variant]:
    """Return every training of the plan."""
    shared = tuple(plan["budget"]["settings"])
    return [
        Variant(
            name=entry["name"],
            settings=(*shared, *entry.get("settings", ())),
            pretrained=entry.get("weights") != "none",
            seed=seed,
        )
        for entry in plan["variant"]
        for seed in entry.get("seeds", [1])
    ]


def train(variant: Variant, plan: dict[str, Any], arguments: argparse.Namespace) -> Path:
    """Train one variant unless it is finished; return its folder."""
    folder: Path = arguments.out / variant.folder
    if (folder / "finished").is_file():
        return folder
    weights = ["--weights", str(arguments.weights)] if variant.pretrained else []
    settings = [part for line in _last_wins(variant.settings) for part in ("--set", line)]
    command = [
        *(sys.executable, "-m", "ml.train", "--data", str(arguments.data)),
        *("--steps", str(plan["budget"]["steps"]), "--minutes", str(plan["budget"]["minutes"])),
        *("--round-steps", "100", "--log-every", "50", "--seed", str(variant.seed)),
        *("--cache", str(arguments.cache), "--out", str(folder)),
        *weights,
        *settings,
    ]
    logger.info("training %s, seed %d", variant.name, variant.seed)
    subprocess.run(command, check=True)  # noqa: S603 - our own module
    (folder / "finished").touch()
    return folder


def _last_wins(settings: Sequence[str]) -> list[str]:
    """Return the settings without those that a later one replaces; TOML takes a key only once."""
    return list({line.split("=")[0].strip(): line for line in settings}.values())


def answers(
    variant: Variant, folder: Path, samples: Sequence[Sample], config: dict[str, Any]
) -> list[Score]:
    """Return what the last averaged weights of a variant say about the validation pictures."""
    config = overridden(config, _last_wins(variant.settings))
    model = build_detector(backbone_weights=None, **config["model"])
    model.load_weights(str(folder / "average_last.weights.h5"))
    crop = config["data"].get("crop_to_limb", True)
    return list(score(model, samples, crop_to_limb=crop))


def figures(scores: Sequence[Score]) -> dict[str, Estimate]:
    """Return AUROC, pointing game and AP of the boxes with their intervals."""
    labels = np.array([s.sample.fractured for s in scores])
    logits = np.array([s.logit for s in scores])
    blocks = [s.sample.block for s in scores]
    truth = [[f.box for f in s.sample.fractures] for s in scores]
    matched = [match_places(t, s.places, iou=_BOX_IOU) for t, s in zip(truth, scores, strict=True)]
    counts = np.array([len(boxes) for boxes in truth], np.int64)
    pointed = np.array([bool(s.pointing) for s in scores])
    boxed = np.nonzero(counts)[0]

    def precision(rows: IntArray) -> float:
        return places_average_precision([matched[i] for i in rows], int(counts[rows].sum()))

    return {
        "auroc": bootstrap(
            lambda rows: auroc(labels[rows], logits[rows]), blocks=blocks, labels=labels.tolist()
        ),
        "pointing_game": bootstrap(
            lambda rows: float(pointed[boxed[rows]].mean()),
            blocks=[blocks[i] for i in boxed],
            labels=[True] * boxed.size,
        ),
        "ap30": bootstrap(precision, blocks=blocks, labels=labels.tolist()),
    }


def ensemble(members: Sequence[Sequence[Score]]) -> list[Score]:
    """Return the mean image logit of several models; the places are those of the first."""
    return [
        replace(rows[0], logit=float(np.mean([row.logit for row in rows])))
        for rows in zip(*members, strict=True)
    ]


def learning_curve(folder: Path) -> Iterator[tuple[int, str, float]]:
    """Yield (step, figure, value) of a training's history."""
    for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for kind in ("loss", "validation"):
            for name, value in entry.get(kind, {}).items():
                yield entry["step"], f"{kind}_{name}", value


def as_markdown(rows: dict[str, dict[str, Estimate]], budget: str) -> str:
    """Return the table."""
    lines = ["# What each part of the recipe gave", "", budget, ""]
    lines += [
        "| variant | AUROC | pointing game | boxes: AP at IoU 0.3 |",
        "| --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        cells = [f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})" for e in row.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line, train what is missing, write the table."""
    parser = argparse.ArgumentParser(prog="python -m ml.ablation", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="ImageNet weights")
    parser.add_argument("--plan", type=Path, default=_HERE / "configs" / "ablation.toml")
    parser.add_argument("--config", type=Path, default=_HERE / "configs" / "detector.toml")
    parser.add_argument("--split", type=Path, default=_HERE / "data/splits/fracatlas_v1.csv")
    parser.add_argument("--cache", type=Path, default=Path("var/train/cache"))
    parser.add_argument("--out", type=Path, default=Path("var/train/ablation"))
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    plan = tomllib.loads(arguments.plan.read_text(encoding="utf-8"))
    config = tomllib.loads(arguments.config.read_text(encoding="utf-8"))
    parts = read_split(arguments.split)
    samples = [s for s in read_samples(arguments.data) if parts.get(s.image_id) == "validation"]
    rows: dict[str, dict[str, Estimate]] = {}
    members: dict[str, list[list[Score]]] = {}
    curves: list[tuple[str, int, str, float]] = []
    for variant in variants(plan):
        folder = train(variant, plan, arguments)
        scores = answers(variant, folder, samples, config)
        members.setdefault(variant.name, []).append(scores)
        label = variant.name if variant.seed == 1 else f"{variant.name}, seed {variant.seed}"
        rows[label] = figures(scores)
        curves += [(label, *point) for point in learning_curve(folder)]
        logger.info("%s: AUROC %.4f", label, rows[label]["auroc"].value)
    for name, several in members.items():
        if len(several) > 1:
            rows[f"{name}, {len(several)} seeds averaged"] = figures(ensemble(several))
    fractured = sum(s.fractured for s in samples)
    budget = (
        f"{plan['budget']['steps']} steps each, {', '.join(plan['budget']['settings'])}; measured "
        f"on the {len(samples)} pictures ({fractured} fractured) of the validation part with the "
        "last averaged weights, without the mirror image; 95 % intervals by bootstrap over blocks."
    )
    values = {name: {k: e.as_json() for k, e in row.items()} for name, row in rows.items()}
    text = json.dumps({"budget": budget, "rows": values}, indent=2) + "\n"
    (arguments.out / "ablation.json").write_text(text, encoding="utf-8")
    (arguments.out / "ablation.md").write_text(as_markdown(rows, budget), encoding="utf-8")
    with (arguments.out / "learning_curves.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["variant", "step", "figure", "value"])
        writer.writerows(curves)
    logger.info("%s", as_markdown(rows, budget))


if __name__ == "__main__":
    main()
