"""Train the named architectures alike and compare them: ``python -m ml.compare --data DIR``.

Each is trained by ``ml.train`` in a process of its own on the same split, pictures, epochs and
seed; the detector also learns from the boxes. The table has the AUROC of the test part with a 95 %
interval by bootstrap over blocks, as ``comparison.json`` and ``comparison.md``. Training needs
``requirements-train.txt``.
"""

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.classification import ARCHITECTURES, EXIT_WEIGHTS_UNAVAILABLE, HEADS, IMAGENET, NO_WEIGHTS
from ml.classification_report import figures, read_answers
from ml.metrics import Estimate

logger = logging.getLogger("ml.compare")
AVAILABLE = "available"
DETECTOR = "detector"
NAMES = (*ARCHITECTURES, DETECTOR)
RunTraining = Callable[[Sequence[str]], int]


@dataclass(frozen=True, slots=True)
class Row:
    """One architecture of the table; without a result, why there is none."""

    architecture: str
    weights: str
    failure: str = ""
    result: dict[str, Any] | None = None
    figures: dict[str, Estimate] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        values: dict[str, Any] = {"architecture": self.architecture, "weights": self.weights}
        if self.result is None or self.figures is None:
            return {**values, "failure": self.failure}
        return {
            **values,
            "parameters": self.result["parameters"],
            "epochs_run": self.result["epochs_run"],
            "training_seconds": self.result["seconds"],
            **{name: figure.as_json() for name, figure in self.figures.items()},
        }


def compare(
    arguments: argparse.Namespace, options: Sequence[str], run_training: RunTraining
) -> list[Row]:
    """Train and measure each architecture; the best AUROC comes first, failures last."""
    rows = [
        _train_one(architecture, arguments, options, run_training)
        for architecture in arguments.architectures
    ]
    return sorted(rows, key=lambda row: -row.figures["auroc"].value if row.figures else 1.0)


def _train_one(
    architecture: str,
    arguments: argparse.Namespace,
    options: Sequence[str],
    run_training: RunTraining,
) -> Row:
    folder = arguments.out / architecture
    wanted = IMAGENET if arguments.weights == AVAILABLE else arguments.weights
    resume = ["--resume"] if (folder / "state.npz").is_file() else []
    code, weights = -1, wanted
    # Trained from nothing where no ImageNet weights can be had; the table says which.
    for weights in dict.fromkeys((wanted, NO_WEIGHTS)):
        logger.info("training %s, weights: %s", architecture, weights)
        code = run_training(
            [
                *("--architecture", architecture, "--weights", weights),
                *("--out", str(folder)),
                *(detector_options(options) if architecture == DETECTOR else options),
                *resume,
            ]
        )
        if code != EXIT_WEIGHTS_UNAVAILABLE or arguments.weights != AVAILABLE:
            break
    if code != 0:
        reason = "weights unavailable" if code == EXIT_WEIGHTS_UNAVAILABLE else f"exit code {code}"
        return Row(architecture, weights, failure=reason)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    test = [a for a in read_answers(folder / "predictions.csv") if a.part == "test"]
    return Row(architecture, weights, "", result, figures(test, draws=arguments.draws))


def detector_options(options: Sequence[str]) -> list[str]:
    """Translate the options of a classifier's training into those of the detector's."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--head")  # the detector has all heads
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps-per-epoch", type=int, default=0)
    parser.add_argument("--dry-run", action="store_true")
    own, shared = parser.parse_known_args(options)
    if own.dry_run:
        length = ["--dry-run"]
    elif own.steps_per_epoch:
        length = ["--steps", str(own.epochs * own.steps_per_epoch)]
    else:
        length = ["--epochs", str(own.epochs)]
    return [*shared, *length, "--minutes", "100000", "--validate-every", "0", "--answers"]


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the table with the budget that it was made with."""
    lines = ["# Comparison of architectures", "", *_budget(rows), ""]
    lines.append(
        "| architecture | weights | parameters | epochs | minutes | AUROC (95 %) "
        "| AUROC without hardware (95 %) |"
    )
    lines.append("| --- | --- | ---: | ---: | ---: | --- | --- |")
    for row in rows:
        if row.result is None or row.figures is None:
            lines.append(f"| {row.architecture} | {row.weights} | | | | {row.failure} | |")
            continue
        lines.append(
            f"| {row.architecture} | {row.weights} | {row.result['parameters'] / 1e6:.1f} M "
            f"| {row.result['epochs_run']} | {row.result['seconds'] / 60:.1f} "
            f"| {_interval(row.figures['auroc'])} "
            f"| {_interval(row.figures['auroc_without_hardware'])} |"
        )
    return "\n".join(lines) + "\n"


def _budget(rows: Sequence[Row]) -> list[str]:
    # The detector's own result has no such settings; it was given the same.
    results = [row.result for row in rows if row.result and row.architecture != DETECTOR]
    result = results[0] if results else None
    if result is None:
        return ["No classifier was trained."]
    settings, pictures = result["settings"], result["pictures"]
    lines = [
        (
            f"Head {result['head']}, {settings['image_size']} pixels, at most {settings['epochs']} "
            f"epochs of {result['steps_per_epoch']} batches of {settings['batch_size']}, seed "
            f"{result['seed']}; {pictures['train']} pictures to train, {pictures['validation']} to "
            f"validate, {pictures['test']} to test; split {result['split']}. Intervals: bootstrap "
            "over blocks."
        )
    ]
    if result["dry_run"]:
        lines += ["", "**Dry run: the figures say nothing about the architectures.**"]
    return lines


def _interval(figure: Estimate) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})"  # noqa: RUF001 - a range


def run_as_process(options: Sequence[str]) -> int:
    """Train in a process of its own, which gives all memory back; return its exit code."""
    command = [sys.executable, "-m", "ml.train", *options]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own module


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ml.compare",
        description=__doc__,
        epilog="Every other option of ml.train_classifier (--data, --epochs, --batch-size, "
        "--image-size, --steps-per-epoch, --limit, --seed, --dry-run …) is passed on to it.",
        allow_abbrev=False,
    )
    parser.add_argument("--architectures", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--head", choices=HEADS, default="binary")
    parser.add_argument("--out", type=Path, default=Path("var/train/comparison"))
    parser.add_argument(
        "--weights",
        choices=(NO_WEIGHTS, IMAGENET, AVAILABLE),
        default=NO_WEIGHTS,
        help="available: imagenet where it is on this machine or can be fetched, otherwise none",
    )
    parser.add_argument("--draws", type=int, default=500, help="bootstrap draws")
    return parser


def main(argv: Sequence[str] | None = None, run_training: RunTraining = run_as_process) -> None:
    """Read the command line, train all, write the table."""
    parser = _parser()
    arguments, options = parser.parse_known_args(argv)
    if "--architecture" in options or "--resume" in options:
        parser.error("--architecture and --resume are set for each training by itself")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = compare(arguments, ["--head", arguments.head, *options], run_training)
    values = {
        "budget": " ".join(line for line in _budget(rows) if line),
        "rows": [row.as_json() for row in rows],
    }
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    (arguments.out / "comparison.json").write_text(text, encoding="utf-8")
    (arguments.out / "comparison.md").write_text(as_markdown(rows), encoding="utf-8")
    logger.info("%s", as_markdown(rows))
    if any(row.failure for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
