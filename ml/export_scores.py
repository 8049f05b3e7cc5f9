"""Compare the answers of two forms of one network; needs no TensorFlow."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ml.calibration import sigmoid
from ml.classification import fracture_probability
from ml.detection import map_evidence, softmax

Arrays = Mapping[str, npt.NDArray[np.float32]]
FloatArray = npt.NDArray[np.float64]
MAP_WEIGHT = 1.0
_SIGMOID = frozenset({"image", "flags", "map", "fracture", "attributes"})
_SOFTMAX = frozenset({"region", "body_region", "type"})


def image_scores(outputs: Arrays) -> FloatArray:
    """Return one score a picture, as pictures are ranked before calibration, ``(n,)``.

    A detector's is a logit (without the mirror image), a classifier's a probability.
    """
    if "map" in outputs:
        evidence = np.array([map_evidence(values[..., 0]) for values in outputs["map"]])
        return np.asarray(outputs["image"], np.float64).reshape(-1) + MAP_WEIGHT * evidence
    head = "type" if "type" in outputs else "region" if "region" in outputs else "binary"
    return np.asarray(fracture_probability(head, outputs), np.float64)


def largest_differences(reference: Arrays, answers: Arrays, *, input_size: int) -> dict[str, float]:
    """Return the largest difference of each output on the same pictures.

    Logits are compared as probabilities, box distances as shares of the input's side, and anything
    else (features, class maps) as a share of the reference's largest value.

    Raises:
        ValueError: an output is missing or has another shape.
    """
    found = {}
    for name, expected in reference.items():
        if name not in answers or answers[name].shape != expected.shape:
            raise ValueError(f"the output {name} is missing or has another shape")
        first = _comparable(name, expected, expected, input_size)
        second = _comparable(name, answers[name], expected, input_size)
        found[name] = float(np.abs(first - second).max())
    return found


def _comparable(
    name: str, values: npt.NDArray[np.float32], reference: npt.NDArray[np.float32], size: int
) -> FloatArray:
    if name in _SIGMOID:
        return sigmoid(values)
    if name in _SOFTMAX:
        return softmax(values)
    if name == "boxes":
        return np.asarray(values, np.float64) / size
    return np.asarray(values, np.float64) / max(float(np.abs(reference).max()), 1e-12)
