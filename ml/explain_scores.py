"""Do heatmaps point at the fractures? Dense map, exact CAM and Grad-CAM against annotated boxes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml.data.fracatlas import Sample
from ml.decoding import decode_image
from ml.explain import energy_in_boxes, heatmap_of_image, pointing_hit
from ml.metrics import Estimate, bootstrap
from ml.predictor import FracturePredictor
from ml.preprocessing import GrayImage, Prepared, prepare
from ml.runtimes.onnx import OnnxRuntime

BAR: Final = 0.60  # of the pointing game; below, a heatmap sends the eye elsewhere too often
CAM_PREFIX: Final = "cam_"

Heat = npt.NDArray[np.uint8]
Method = Callable[[GrayImage], Heat]


@dataclass(frozen=True, slots=True)
class Score:
    """How well a method points, over the pictures with boxes."""

    pointing_game: Estimate
    energy_in_boxes: Estimate

    def as_json(self) -> dict[str, Any]:
        """Return both figures as plain values."""
        return {
            "pointing_game": self.pointing_game.as_json(),
            "energy_in_boxes": self.energy_in_boxes.as_json(),
        }


def dense_map(predictor: FracturePredictor) -> Method:
    """Return the method of the product: the detector's fracture map."""

    def heat(pixels: GrayImage) -> Heat:
        examination = predictor.examine(pixels)
        return heatmap_of_image(examination.fracture_map, examination.geometry)

    return heat


def exact_cam(path: Path) -> Method:
    """Return the class map that an exported classifier carries as an output.

    Raises:
        ValueError: the file has no such output.
    """
    runtime = OnnxRuntime(path, sha256=sha256(path.read_bytes()).hexdigest())
    names = sorted(n for n in runtime.output_names if n.startswith(CAM_PREFIX))
    if not names:
        raise ValueError(f"{path.name} has no class activation map; its head is no pooled Dense")
    # A fracture head explains best; a head of types has a class for "none" instead.
    chosen = f"{CAM_PREFIX}fracture" if f"{CAM_PREFIX}fracture" in names else names[0]
    size = runtime.input_size

    def heat(pixels: GrayImage) -> Heat:
        prepared = prepare(pixels, input_size=size)
        outputs = runtime.run(prepared.pixels[None])
        maps, logits = outputs[chosen][0], outputs[chosen.removeprefix(CAM_PREFIX)][0]
        return laid(maps[..., _explained(chosen, logits, outputs)], prepared)

    return heat


def _explained(
    name: str, logits: npt.NDArray[np.float32], outputs: Mapping[str, npt.NDArray[np.float32]]
) -> int:
    """Return which class of a head speaks for a fracture in this picture."""
    if name == f"{CAM_PREFIX}fracture":
        return int(np.argmax(outputs["region"][0])) if len(logits) > 1 else 0
    return 1 + int(np.argmax(logits[1:]))  # the first type is "none"


def laid(values: npt.NDArray[np.float32], prepared: Prepared) -> Heat:
    """Lay the positive part of a map, scaled to its hottest place, over the whole picture."""
    positive = np.maximum(np.asarray(values, np.float32), 0.0)
    hottest = float(positive.max())
    scaled = positive / hottest if hottest > 0.0 else positive
    return heatmap_of_image(np.asarray(scaled, np.float32), prepared.geometry)


def score(method: Method, samples: Sequence[Sample], *, draws: int = 500) -> Score:
    """Return the pointing game and the energy in the boxes, with intervals over blocks.

    Args:
        method: from decoded pixels to a heatmap over the whole picture.
        samples: pictures that have boxes.
        draws: of the bootstrap.
    """
    found = np.array(list(_measured(method, samples)), np.float64).reshape(-1, 2)
    blocks = [sample.block for sample in samples]

    def estimate(column: int) -> Estimate:
        return bootstrap(
            lambda rows: float(found[rows, column].mean()),
            blocks=blocks,
            labels=[True] * len(blocks),
            draws=draws,
        )

    return Score(estimate(0), estimate(1))


def _measured(method: Method, samples: Sequence[Sample]) -> Iterator[tuple[float, float]]:
    for sample in samples:
        pixels = decode_image(sample.path.read_bytes()).frames[0]
        heat = method(pixels)
        boxes = [fracture.box for fracture in sample.fractures]
        size = (int(pixels.shape[1]), int(pixels.shape[0]))
        # A map without any heat points nowhere, not at its first cell.
        hit = bool(heat.any()) and pointing_hit(heat, boxes, *size)
        yield float(hit), energy_in_boxes(heat, boxes, *size)
