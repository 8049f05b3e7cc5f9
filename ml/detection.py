"""From the network's dense maps to places: peaks, boxes, and what they look like."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.calibration import sigmoid
from ml.contracts import Box
from ml.labels import DISPLACEMENTS, PATTERNS, SEVERITIES

Dense = npt.NDArray[np.float32]

_MAX_CANDIDATES = 12
_OVERLAP_LIMIT = 0.3  # two boxes that share more than this are the same place
_LOWEST_LOGIT = -5.0  # below 0.7 % a peak is grain


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible fracture, in pixels of the model's input.

    Attributes:
        box: where.
        logit: raw evidence at the peak of the fracture map.
        severity, displacement, pattern: probabilities in the order of ``ml.labels``; experimental.
    """

    box: Box
    logit: float
    severity: npt.NDArray[np.float64]
    displacement: npt.NDArray[np.float64]
    pattern: npt.NDArray[np.float64]


def find_candidates(
    map_logits: Dense, reach: Dense, attributes: Dense, *, input_size: int
) -> list[Candidate]:
    """Return places sorted by evidence, strongest first, overlapping ones joined.

    Args:
        map_logits: ``(h, w)``.
        reach: ``(h, w, 4)``, distances from the cell centre to left, top, right, bottom in input
            pixels.
        attributes: ``(h', w', 10)`` logits of severity, displacement and pattern.
        input_size: side of the square input.
    """
    stride = input_size / map_logits.shape[0]
    found: list[Candidate] = []
    for row, column in _peaks(map_logits):
        box = _box_at(map_logits, reach, row, column, stride, input_size)
        if any(_same_place(box, other.box) for other in found):
            continue
        severity, displacement, pattern = _attributes_at(attributes, box, input_size)
        logit = float(map_logits[row, column])
        found.append(Candidate(box, logit, severity, displacement, pattern))
        if len(found) == _MAX_CANDIDATES:
            break
    return found


def overlap(first: Box, second: Box) -> float:
    """Return intersection over union of two boxes, 0 to 1."""
    shared = _shared_area(first, second)
    union = first.width * first.height + second.width * second.height - shared
    return shared / union if union > 0.0 else 0.0


def _shared_area(first: Box, second: Box) -> float:
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    return max(0.0, width) * max(0.0, height)


def _same_place(box: Box, stronger: Box) -> bool:
    smaller = min(box.width * box.height, stronger.width * stronger.height)
    inside = _shared_area(box, stronger) > 0.7 * smaller
    return inside or overlap(box, stronger) > _OVERLAP_LIMIT


def _peaks(logits: Dense) -> list[tuple[int, int]]:
    """Return cells that no neighbour exceeds, strongest first; ties in reading order."""
    padded = np.pad(logits, 1, constant_values=-np.inf)
    neighbours = np.stack(
        [
            padded[dy : dy + logits.shape[0], dx : dx + logits.shape[1]]
            for dy in range(3)
            for dx in range(3)
        ]
    )
    rows, columns = np.nonzero((logits >= neighbours.max(axis=0)) & (logits > _LOWEST_LOGIT))
    order = np.argsort(-logits[rows, columns], kind="stable")[: _MAX_CANDIDATES * 8]
    return [(int(rows[i]), int(columns[i])) for i in order]


def _box_at(
    map_logits: Dense, reach: Dense, row: int, column: int, stride: float, input_size: int
) -> Box:
    """Average the boxes of the peak and its neighbours, each counting as it is sure.

    On held-back pictures this raised AP at IoU 0.5 from 0.18 to 0.23 against the peak's own box.
    """
    rows = slice(max(0, row - 1), row + 2)
    columns = slice(max(0, column - 1), column + 2)
    weight = sigmoid(map_logits[rows, columns])
    weight = weight / weight.sum()
    near = reach[rows, columns].astype(np.float64)
    centre_y = (np.arange(rows.start, rows.start + near.shape[0])[:, None] + 0.5) * stride
    centre_x = (np.arange(columns.start, columns.start + near.shape[1])[None, :] + 0.5) * stride
    limit = float(input_size)
    x0 = max(0.0, float((weight * (centre_x - near[..., 0])).sum()))
    y0 = max(0.0, float((weight * (centre_y - near[..., 1])).sum()))
    x1 = min(limit, float((weight * (centre_x + near[..., 2])).sum()))
    y1 = min(limit, float((weight * (centre_y + near[..., 3])).sum()))
    return Box(x0, y0, max(0.0, x1 - x0), max(0.0, y1 - y0))


def _attributes_at(
    attributes: Dense, box: Box, input_size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    rows, columns = attributes.shape[:2]
    row = min(rows - 1, int((box.y + box.height / 2) * rows / input_size))
    column = min(columns - 1, int((box.x + box.width / 2) * columns / input_size))
    values = attributes[row, column].astype(np.float64)
    severity, displacement, pattern = np.split(
        values, [len(SEVERITIES), len(SEVERITIES) + len(DISPLACEMENTS)]
    )
    if pattern.size != len(PATTERNS):
        raise ValueError(f"expected {len(PATTERNS)} pattern channels, got {pattern.size}")
    return softmax(severity), softmax(displacement), softmax(pattern)


def softmax(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return probabilities that sum to 1 along the last axis."""
    shifted = np.exp(values.astype(np.float64) - values.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float64)


def map_evidence(map_logits: Dense, *, cells: int = 16) -> float:
    """Return the logit of the mean probability of the hottest cells."""
    hottest = float(np.sort(sigmoid(map_logits).ravel())[-cells:].mean())
    bounded = min(max(hottest, 1e-6), 1.0 - 1e-6)
    return float(np.log(bounded / (1.0 - bounded)))
