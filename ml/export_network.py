"""What is exported: a trained Keras network with named outputs (``requirements-train.txt``)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import keras

# Imported for its registered layer functions as well: a saved detector needs them to load.
from ml.architectures.detector import OUTPUTS, build_detector
from ml.cam import with_cam

FEATURES = "features"
_POOL = "pool"  # the layer whose output the novelty gate looks at


@dataclass(frozen=True, slots=True)
class Network:
    """A network ready for export.

    Attributes:
        model: from ``(n, size, size, 1)`` to a dict of logits and maps by name.
        input_size: side of the square input.
        is_detector: whether it is the shipped architecture, which gets a manifest.
    """

    model: keras.Model
    input_size: int
    is_detector: bool


def load_network(weights: Path, config: Path) -> Network:
    """Build the network of a ``.weights.h5`` (detector) or ``.keras`` file (any of the workshop).

    The detector gets its pooled features as a further output; a classifier whose head is a Dense
    layer on global average pooling gets its exact class activation maps.

    Raises:
        ValueError: the file is neither, or the network has not one square input.
    """
    if weights.name.endswith(".weights.h5"):
        options = tomllib.loads(config.read_text(encoding="utf-8"))["model"]
        model = build_detector(backbone_weights=None, **options)
        model.load_weights(str(weights))
    elif weights.suffix == ".keras":
        model = keras.saving.load_model(weights, compile=False)
    else:
        raise ValueError(f"{weights.name} is neither a .weights.h5 nor a .keras file")
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[1] != shape[2]:
        raise ValueError(f"the network must have one square input, not {shape}")
    if not isinstance(model.output, dict):
        raise ValueError("the network's outputs must have names")  # noqa: TRY004 - a bad file
    if set(OUTPUTS) <= set(model.output):
        return Network(with_features(model), int(shape[1]), is_detector=True)
    return Network(with_cam(model), int(shape[1]), is_detector=False)


def with_features(model: keras.Model) -> keras.Model:
    """Return the detector with its pooled features as a further output."""
    outputs = {name: model.output[name] for name in OUTPUTS}
    outputs[FEATURES] = model.get_layer(_POOL).output
    return keras.Model(model.input, outputs, name=model.name)
