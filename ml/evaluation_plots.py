"""The plots of an evaluation as SVG files; loads matplotlib, which nothing else does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ml.contracts import Thresholds
from ml.evaluation import FALSE_BOXES, FROC_IOU, Evaluation
from ml.evaluation_tables import Confusion, confusions, reliability
from ml.judged import Record
from ml.metrics import auroc, average_precision, precision_recall, roc

_SIZE = (4.6, 3.8)
_BLUE, _RED, _GREY = "#1f5fa8", "#b3261e", "#8a8a8a"
_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "path",  # the same on every machine, whatever fonts it has
    "svg.hashsalt": "fracture-site",
}


def write_plots(
    records: Sequence[Record], evaluation: Evaluation, limits: Thresholds, folder: Path
) -> list[tuple[str, str]]:
    """Write what the data allow; return file names and titles."""
    assessed = [r for r in records if not r.reasons]
    if not assessed:
        return []
    labels = np.array([r.sample.fractured for r in assessed])
    scores = np.array([r.probability for r in assessed])
    written: list[tuple[str, str]] = []

    def save(name: str, title: str, figure: Figure) -> None:
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        written.append((f"{name}.svg", title))

    with mpl.rc_context(_STYLE):
        if labels.any() and not labels.all():
            save("roc", "ROC of the image score", _roc(labels, scores, limits))
            save("precision-recall", "Precision and recall", _precision_recall(labels, scores))
            save("reliability", "Reliability of the probability", _reliability(records))
        save("scores", "Probabilities by label", _scores(labels, scores, limits))
        if any(r.sample.fractures for r in assessed):
            save("froc", f"FROC of the boxes (IoU at least {FROC_IOU:g})", _froc(evaluation))
        for name, confusion in confusions(assessed).items():
            title = f"{name.replace('_', ' ').capitalize()}: true (rows) and said (columns)"
            save(f"confusion-{name}", title, _confusion(confusion))
    return written


def _axes(*, width: float = _SIZE[0], height: float = _SIZE[1]) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _roc(labels: Any, scores: Any, limits: Thresholds) -> Figure:
    figure, axes = _axes()
    wrong, right = roc(labels, scores)
    axes.plot(wrong, right, color=_BLUE, label=f"AUROC {auroc(labels, scores):.3f}")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle=":")
    for name, limit, marker in (
        ("suspicion", limits.suspicion, "o"),
        ("definite", limits.definite, "s"),
    ):
        said = scores >= limit
        place = (float(said[~labels].mean()), float(said[labels].mean()))
        axes.plot(*place, marker, color=_RED, label=f"{name}, from {limit:.2f}")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower right", frameon=False)
    return figure


def _precision_recall(labels: Any, scores: Any) -> Figure:
    figure, axes = _axes()
    recall, precision = precision_recall(scores, labels, int(labels.sum()))
    label = f"AUPRC {average_precision(labels, scores):.3f}"
    axes.plot(recall, precision, color=_BLUE, label=label)
    axes.axhline(labels.mean(), color=_GREY, linewidth=0.8, linestyle=":", label="share fractured")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower left", frameon=False)
    return figure


def _reliability(records: Sequence[Record]) -> Figure:
    figure, axes = _axes()
    bins = reliability(records)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle=":")
    stated, observed = [b["stated"] for b in bins], [b["observed"] for b in bins]
    axes.plot(stated, observed, "o-", color=_BLUE, label="tenth of the pictures")
    axes.set(xlabel="stated probability", ylabel="share fractured", xlim=(0, 1), ylim=(-0.02, 1.02))
    axes.legend(loc="upper left", frameon=False)
    return figure


def _scores(labels: Any, scores: Any, limits: Thresholds) -> Figure:
    figure, axes = _axes()
    bins = np.linspace(0.0, 1.0, 26)
    for wanted, color, name in ((False, _BLUE, "no fracture"), (True, _RED, "fracture")):
        if (labels == wanted).any():
            axes.hist(scores[labels == wanted], bins, alpha=0.6, color=color, label=name)
    for limit in (limits.suspicion, limits.definite):
        axes.axvline(limit, color=_GREY, linewidth=0.8, linestyle="--")
    axes.set(xlabel="probability of a fracture", ylabel="pictures (log)", yscale="log")
    axes.legend(frameon=False)
    return figure


def _froc(evaluation: Evaluation) -> Figure:
    figure, axes = _axes()
    wrong, right = evaluation.places(FROC_IOU).froc()
    axes.step(wrong, right, where="post", color=_BLUE)
    for limit in FALSE_BOXES:
        axes.axvline(limit, color=_GREY, linewidth=0.5, linestyle=":")
    axes.set(
        xlabel="false boxes a picture",
        ylabel="share of fractures found",
        xlim=(0, max(FALSE_BOXES)),
        ylim=(0, 1.02),
    )
    return figure


def _confusion(confusion: Confusion) -> Figure:
    used = [
        i
        for i in range(len(confusion.labels))
        if confusion.counts[i].any() or confusion.counts[:, i].any()
    ]
    counts = confusion.counts[np.ix_(used, used)]
    names = [confusion.labels[i].replace("_", " ") for i in used]
    side = 2.2 + 0.42 * len(used)
    figure, axes = _axes(width=side + 0.8, height=side)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            color = "white" if share[row, column] > 0.6 else "black"
            text = str(counts[row, column])
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    return figure
