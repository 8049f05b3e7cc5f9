"""Class activation maps of Keras networks: exact ones as outputs, and Grad-CAM for any network.

Where the head is a Dense layer on global average pooling, the class map is the same Dense layer
applied at each place before pooling: its mean (plus the bias) is the logit, nothing is estimated,
and an exported file can carry it at no cost. Grad-CAM needs a gradient, so it stays in training.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

CAM_PREFIX = "cam_"


def with_cam(model: keras.Model) -> keras.Model:
    """Return the model with ``cam_<output>`` ``(n, h, w, classes)`` for each GAP + Dense output.

    A model without such an output is returned as it is.
    """
    maps = {}
    for name, tensor in model.output.items():
        found = _pooled_dense(tensor)
        if found is None:
            continue
        dense, features = found
        places = layers.Conv2D(dense.units, 1, use_bias=False, name=f"{CAM_PREFIX}{name}")
        maps[f"{CAM_PREFIX}{name}"] = places(features)
        places.set_weights([dense.get_weights()[0][None, None]])
    if not maps:
        return model
    return keras.Model(model.input, {**model.output, **maps}, name=model.name)


class GradCam:
    """Grad-CAM (Selvaraju et al., 2017) for one output of a Keras functional model."""

    def __init__(self, model: keras.Model, output: str, *, layer: str = "") -> None:
        """Choose where to look.

        Args:
            model: with a dict of outputs.
            output: name of the output that is explained.
            layer: whose feature map is weighted; by default what global average pooling sees, or
                the last feature map before the output.

        Raises:
            ValueError: there is no such output, or no feature map before it.
        """
        if output not in model.output:
            raise ValueError(f"there is no output {output!r}, only {sorted(model.output)}")
        target = model.output[output]
        features = _feature_map(target, layer)
        self._split = keras.Model(model.input, [features, target])

    def heat(self, pixels: npt.NDArray[np.float32], index: int = 0) -> npt.NDArray[np.float32]:
        """Return the map ``(h, w)``, 0 to 1, of one picture ``(size, size)``; 0 everywhere if none.

        Args:
            pixels: prepared, -1 to 1.
            index: which of the output's values is explained.
        """
        picture = tf.constant(pixels[None, ..., None])
        with tf.GradientTape() as tape:
            tape.watch(picture)  # so that frozen layers are recorded too
            features, answer = self._split(picture, training=False)
            logit = tf.reshape(answer, (1, -1))[0, index]
        gradients = tape.gradient(logit, features)
        if gradients is None:
            raise ValueError("the output does not depend on this feature map")
        weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
        heat = np.asarray(tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)))[0]
        hottest = float(heat.max())
        return np.asarray(heat / hottest if hottest > 0.0 else heat, np.float32)


def _pooled_dense(tensor: Any) -> tuple[layers.Dense, Any] | None:
    """Return the linear Dense layer behind an output and the feature map it was pooled from."""
    operation = _maker(tensor)
    while isinstance(operation, layers.Dropout) or _is_linear(operation):
        operation = _maker(operation.input)
    if not isinstance(operation, layers.Dense) or operation.activation is not _LINEAR:
        return None
    dense, operation = operation, _maker(operation.input)
    while isinstance(operation, layers.Dropout):
        operation = _maker(operation.input)
    return (dense, operation.input) if _is_pooling(operation) else None


def _feature_map(target: Any, layer: str) -> Any:
    def named(tensor: Any) -> bool:
        return bool(_maker(tensor).name == layer)

    def is_map(tensor: Any) -> bool:
        return len(tensor.shape) == 4

    if layer:
        return _first(target, named, f"no layer {layer!r} before the output")
    for tensor in _before(target):
        if _is_pooling(_maker(tensor)):
            return _maker(tensor).input
    return _first(target, is_map, "no feature map before the output")


def _first(target: Any, wanted: Callable[[Any], bool], otherwise: str) -> Any:
    for tensor in _before(target):
        if wanted(tensor):
            return tensor
    raise ValueError(otherwise)


def _before(target: Any) -> Iterator[Any]:
    """Yield the tensors that a tensor was made from, nearest first."""
    waiting, seen = [target], set[int]()
    while waiting:
        tensor = waiting.pop(0)
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        yield tensor
        _, node, _ = _history(tensor)
        waiting += _history(tensor)[0]._inbound_nodes[node].input_tensors  # noqa: SLF001


def _history(tensor: Any) -> Any:
    return tensor._keras_history  # noqa: SLF001 - Keras has no public way from a tensor to its layer


def _maker(tensor: Any) -> Any:
    return _history(tensor)[0]


_LINEAR = keras.activations.linear


def _is_linear(operation: Any) -> bool:
    return isinstance(operation, layers.Activation) and operation.activation is _LINEAR


def _is_pooling(operation: Any) -> bool:
    return isinstance(operation, layers.GlobalAveragePooling2D)
