"""The named classification networks: a backbone, global average pooling and one of three heads."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers

from ml.classification import (
    ARCHITECTURES,
    IMAGENET,
    NO_WEIGHTS,
    WeightsUnavailableError,
    head_sizes,
    local_imagenet_weights,
)

_APPLICATIONS: dict[str, Any] = {
    "vgg16": keras.applications.VGG16,
    "resnet50": keras.applications.ResNet50,
    "densenet121": keras.applications.DenseNet121,
    "densenet169": keras.applications.DenseNet169,
    "mobilenetv2": keras.applications.MobileNetV2,
    "efficientnetv2b0": keras.applications.EfficientNetV2B0,
}
_NATIVE_SIZE = 224
_CUSTOM_CHANNELS = (32, 64, 128, 192, 256)
# What the pretrained backbones expect of each channel, as scale and offset of -1 to 1.
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)


def build_classifier(
    architecture: str,
    *,
    head: str,
    image_size: int,
    weights: str = NO_WEIGHTS,
    weights_folder: Path | None = None,
    dropout: float = 0.3,
    batch_norm_momentum: float = 0.9,
) -> keras.Model:
    """Build a network for square one-channel input of -1 to 1 that answers with logits.

    Args:
        architecture: one of ``ARCHITECTURES``.
        head: ``binary``, ``region`` or ``type``; see ``head_sizes``.
        image_size: side of the input.
        weights: ``none``, ``imagenet`` or a ``.weights.h5`` file of the backbone.
        weights_folder: where ImageNet weights are looked for before they are fetched.
        dropout: before the head.
        batch_norm_momentum: replaces Keras' own, with which short runs validate far too low.

    Raises:
        WeightsUnavailableError: the weights are not there, do not fit, or cannot be fetched.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}")
    backbone = load_backbone(architecture, image_size, weights, weights_folder)
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = batch_norm_momentum
    picture = keras.Input((image_size, image_size, 1), name="image_input")
    colour = layers.Concatenate(name="grey_to_rgb")([picture] * 3)
    features = backbone(_scaled(architecture, colour))
    pooled = layers.GlobalAveragePooling2D(name="pool")(features)
    hidden = layers.Dropout(dropout, name="head_dropout")(pooled)
    outputs = {
        name: layers.Dense(width, dtype="float32", name=name)(hidden)
        for name, width in head_sizes(head).items()
    }
    return keras.Model(picture, outputs, name=f"{architecture}_{head}")


def set_frozen(model: keras.Model, *, frozen: bool) -> None:
    """Freeze or free the backbone; frozen batch norm keeps and uses its own statistics."""
    model.get_layer("backbone").trainable = not frozen


def load_backbone(
    architecture: str, image_size: int, weights: str, folder: Path | None
) -> keras.Model:
    """Return a backbone named "backbone" with the weights that ``build_classifier`` describes."""
    if weights == NO_WEIGHTS:
        return _empty(architecture, image_size)
    local = None
    if weights != IMAGENET:
        local = Path(weights)
    elif folder is not None:
        local = local_imagenet_weights(architecture, folder)
    if local is not None:
        return _from_file(architecture, image_size, local)
    if architecture == "custom_cnn":
        raise WeightsUnavailableError(
            "custom_cnn was never trained on ImageNet: use --weights none"
        )
    return _fetched(architecture, image_size)


def _empty(architecture: str, image_size: int) -> keras.Model:
    if architecture == "custom_cnn":
        return _custom_cnn(image_size)
    return _application(architecture, image_size, weights=None)


def _application(architecture: str, image_size: int, *, weights: str | None) -> keras.Model:
    options: dict[str, Any] = {"include_top": False, "weights": weights}
    if architecture == "efficientnetv2b0":
        # Its own normalisation leaks extra inputs into ONNX; the same is done in front of it.
        options["include_preprocessing"] = False
    model = _APPLICATIONS[architecture](input_shape=(image_size, image_size, 3), **options)
    model.name = "backbone"  # EfficientNet takes a name for a variant: set it afterwards
    return model


def _from_file(architecture: str, image_size: int, path: Path) -> keras.Model:
    if not path.is_file():
        raise WeightsUnavailableError(f"there is no weight file {path}")
    source = _empty(architecture, _NATIVE_SIZE)
    try:
        with warnings.catch_warnings():
            # Layers that the file lacks would silently stay untrained.
            warnings.filterwarnings("error", message="Skipping", category=UserWarning)
            source.load_weights(str(path))
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise WeightsUnavailableError(
            f"{path.name} does not hold the backbone weights of {architecture}: {error}"
        ) from error
    backbone = _empty(architecture, image_size)
    backbone.set_weights(source.get_weights())
    return backbone


def _fetched(architecture: str, image_size: int) -> keras.Model:
    try:
        return _application(architecture, image_size, weights=IMAGENET)
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise WeightsUnavailableError(
            f"the ImageNet weights of {architecture} cannot be fetched ({error}). Without a "
            f"network put them into --weights-folder as {architecture}_imagenet.weights.h5, name "
            "a file with --weights FILE, or use --weights none."
        ) from error


def _scaled(architecture: str, colour: Any) -> Any:
    """Bring -1 to 1 into the range that the pretrained backbone was trained with."""
    scale: Sequence[float]
    if architecture in {"custom_cnn", "mobilenetv2"}:
        return colour
    if architecture in {"vgg16", "resnet50"}:
        scale, offset = [127.5] * 3, [127.5 - mean for mean in _CAFFE_MEAN]
    else:
        scale = [0.5 / deviation for deviation in _IMAGENET_DEVIATION]
        offset = [
            (0.5 - mean) / deviation
            for mean, deviation in zip(_IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True)
        ]
    return layers.Rescaling(scale, offset, name="scale")(colour)


def _custom_cnn(image_size: int) -> keras.Model:
    """Return a small plain network: five times two convolutions and a halving."""
    picture = keras.Input((image_size, image_size, 3))
    x = picture
    for block, channels in enumerate(_CUSTOM_CHANNELS, start=1):
        for part in ("a", "b"):
            name = f"block{block}{part}"
            x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return keras.Model(picture, x, name="backbone")
