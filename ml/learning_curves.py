"""Draw how trainings went: ``python -m ml.learning_curves --run DIR DIR … --out FILE.png``.

Reads ``history.jsonl``, which ``ml.train`` writes: the losses as they were trained on (left) and
what the averaged network made of the validation part (right), one line a run.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

LOSSES = ("image", "map", "boxes")
VALIDATED = ("auroc", "pointing")


def read_history(run: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's history.

    Raises:
        OSError: there is none.
        ValueError: a line is not JSON.
    """
    text = (run / "history.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def draw(runs: Sequence[Path]) -> Figure:
    """Return both plots; lines of one colour belong to one run."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for index, run in enumerate(runs):
        history = read_history(run)
        color = f"C{index}"
        losses = [line for line in history if "loss" in line]
        steps = [line["step"] for line in losses]
        for name, style in zip(LOSSES, ("-", "--", ":"), strict=True):
            values = [line["loss"][name] for line in losses]
            left.plot(steps, values, style, color=color, label=f"{run.name}, {name}")
        checks = [line for line in history if "validation" in line]
        steps = [line["step"] for line in checks]
        for name, style in zip(VALIDATED, ("o-", "s--"), strict=True):
            values = [line["validation"][name] for line in checks]
            right.plot(steps, values, style, color=color, label=f"{run.name}, {name}")
    left.set(xlabel="step", ylabel="loss (weighted, training)", yscale="log")
    right.set(xlabel="step", ylabel="validation part", ylim=(0.4, 1.0))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(prog="python -m ml.learning_curves", description=__doc__)
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="folders of ml.train")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    draw(arguments.run).savefig(arguments.out, dpi=110)


if __name__ == "__main__":
    main()
