"""The shipped detector: MobileNetV2, a light pyramid, a fracture map at stride 4, image heads.

One forward pass answers everything; the outputs are raw logits so that calibration stays outside.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from ml.labels import BODY_REGIONS, COARSE_REGIONS, DISPLACEMENTS, PATTERNS, SEVERITIES

MAP_STRIDE = 4
ATTRIBUTE_STRIDE = 8
ATTRIBUTE_CHANNELS = len(SEVERITIES) + len(DISPLACEMENTS) + len(PATTERNS)
OUTPUTS = ("image", "region", "body_region", "flags", "map", "boxes", "attributes")
FLAGS = ("hardware", "cast")


def build_detector(
    *,
    input_size: int,
    backbone_weights: Path | None = None,
    batch_norm_momentum: float = 0.95,
    dropout: float = 0.3,
    freeze_until: str = "",
) -> keras.Model:
    """Build the network for square one-channel input of -1 to 1.

    Returns:
        A model from ``(n, size, size, 1)`` to a dict of logits: ``image (n,)``, ``region (n, 4)``,
        ``body_region (n, 13)``, ``flags (n, 2)``, ``map (n, s/4, s/4, 1)``, ``boxes``
        ``(n, s/4, s/4, 4)`` (distances left, top, right, bottom of the cell centre in input
        pixels, always positive) and ``attributes (n, s/8, s/8, 10)``.
    """
    picture = keras.Input((input_size, input_size, 1), name="image_input")
    backbone = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(input_size, input_size, 3)
    )
    if backbone_weights is not None:
        source = keras.applications.MobileNetV2(
            include_top=False, weights=None, input_shape=(224, 224, 3)
        )
        source.load_weights(str(backbone_weights))
        backbone.set_weights(source.get_weights())
    _tune_backbone(backbone, momentum=batch_norm_momentum, freeze_until=freeze_until)
    names = (
        "block_2_add",
        "block_6_expand_relu",
        "block_13_expand_relu",
        "out_relu",
    )
    taps = keras.Model(backbone.input, [backbone.get_layer(name).output for name in names])
    c2, c3, c4, c5 = taps(layers.Concatenate(name="grey_to_rgb")([picture] * 3))

    p5 = layers.Conv2D(128, 1, name="p5_lateral")(c5)
    p4 = _separable(_merge(p5, c4, 128, "p4"), 128, batch_norm_momentum, "p4")
    p3 = _separable(_merge(p4, c3, 96, "p3"), 96, batch_norm_momentum, "p3")
    p2 = _plain(_merge(p3, c2, 32, "p2"), 32, batch_norm_momentum, "p2")
    rare = keras.initializers.Constant(-4.0)  # fractures are rare: start near "none"
    heat = layers.Conv2D(1, 1, bias_initializer=rare, name="map_logits")(p2)
    reach = layers.Conv2D(4, 1, name="box_logits")(p2)
    boxes = layers.Lambda(box_distances, name="boxes_px")(reach)
    p3_attribute = _separable(p3, 96, batch_norm_momentum, "p3_attribute")
    attributes = layers.Conv2D(ATTRIBUTE_CHANNELS, 1, name="attribute_logits")(p3_attribute)

    pooled = layers.GlobalAveragePooling2D(name="pool")(c5)
    peaks = layers.Concatenate(name="evidence")(
        [
            layers.GlobalMaxPooling2D(name="p3_max")(p3),
            layers.GlobalMaxPooling2D(name="p4_max")(p4),
        ]
    )
    top = layers.Concatenate(name="map_top")(
        [
            layers.GlobalMaxPooling2D(name="map_max")(heat),
            layers.GlobalMaxPooling2D(name="map_max_8")(
                layers.AveragePooling2D(8, strides=4, name="map_mean_8")(heat)
            ),
        ]
    )
    hidden = layers.Concatenate(name="image_features")([pooled, peaks])
    hidden = layers.Dropout(dropout, name="image_dropout")(hidden)
    hidden = layers.Dense(128, activation="relu", name="image_hidden")(hidden)
    image = layers.Dense(1, name="image_logit")(
        layers.Concatenate(name="image_join")([hidden, top])
    )
    context = layers.Dropout(dropout, name="context_dropout")(pooled)
    outputs = {
        "image": layers.Reshape((), name="image_scalar")(image),
        "region": layers.Dense(len(COARSE_REGIONS), name="region_logits")(context),
        "body_region": layers.Dense(len(BODY_REGIONS), name="body_region_logits")(context),
        "flags": layers.Dense(len(FLAGS), name="flag_logits")(context),
        "map": heat,
        "boxes": boxes,
        "attributes": attributes,
    }
    outputs = {
        name: layers.Activation("linear", dtype="float32", name=name)(value)
        for name, value in outputs.items()
    }
    return keras.Model(picture, outputs, name="fracture_detector")


@keras.saving.register_keras_serializable(package="fracture")  # type: ignore[untyped-decorator]
def box_distances(logits: Any) -> Any:
    """Turn box logits into distances in input pixels, 1 to about 220, starting near 12."""
    return keras.ops.exp(keras.ops.clip(logits + float(np.log(12.0)), 0.0, 5.4))


def _tune_backbone(backbone: keras.Model, *, momentum: float, freeze_until: str) -> None:
    """Set the batch-norm momentum, and freeze from the input to a named layer (``""``: none)."""
    frozen = bool(freeze_until)
    if frozen:
        backbone.get_layer(freeze_until)  # a typo must not freeze everything
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            # The default 0.999 lags thousands of steps behind and spoils validation.
            layer.momentum = momentum
        layer.trainable = not frozen
        if layer.name == freeze_until:
            frozen = False


def _merge(upper: Any, lower: Any, channels: int, name: str) -> Any:
    if upper.shape[-1] != channels:
        upper = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_narrow")(upper)
    upper = layers.UpSampling2D(2, name=f"{name}_up")(upper)
    lower = layers.Conv2D(channels, 1, name=f"{name}_lateral")(lower)
    return layers.Add(name=f"{name}_add")([upper, lower])


def _plain(x: Any, channels: int, momentum: float, name: str) -> Any:
    """Return a 3x3 block; with few channels it trains faster than a depthwise one."""
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_out")(x)


def _separable(x: Any, channels: int, momentum: float, name: str) -> Any:
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depth")(x)
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_point")(x)
    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_out")(x)
