"""Grad-CAM of a Keras file as a way to explain a picture; needs ``requirements-train.txt``."""

from pathlib import Path

import numpy as np

from ml.cam import GradCam
from ml.explain_scores import Heat, Method, laid
from ml.export_network import load_network
from ml.preprocessing import GrayImage, prepare

_EXPLAINED = ("image", "fracture", "type")


def grad_cam(path: Path, config: Path) -> Method:
    """Return Grad-CAM of the fracture answer of a ``.keras`` or ``.weights.h5`` file.

    Raises:
        ValueError: the network has no answer about fractures.
    """
    network = load_network(path, config)
    name = next((n for n in _EXPLAINED if n in network.model.output), "")
    if not name:
        raise ValueError(f"{path.name} says nothing about fractures")
    explain = GradCam(network.model, name)
    split = network.model.output[name].shape[-1] if name != "image" else 1

    def heat(pixels: GrayImage) -> Heat:
        prepared = prepare(pixels, input_size=network.input_size)
        index = 0
        if split > 1:
            answer = network.model(prepared.pixels[None, ..., None], training=False)
            said = np.asarray(answer["region" if name == "fracture" else name])[0]
            index = int(np.argmax(said)) if name == "fracture" else 1 + int(np.argmax(said[1:]))
        return laid(explain.heat(prepared.pixels, index), prepared)

    return heat
