"""What the detector is punished for: image, map, boxes, regions, flags and attributes."""

from dataclasses import dataclass

import tensorflow as tf

from ml.labels import DISPLACEMENTS, PATTERNS, SEVERITIES

Tensors = dict[str, tf.Tensor]


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each part counts; of the attributes, how much each class does (empty: alike)."""

    image: float = 1.0
    map: float = 1.0
    boxes: float = 1.0
    region: float = 0.1
    body_region: float = 0.15
    flags: float = 0.1
    attributes: float = 0.1
    label_smoothing: float = 0.03
    attribute_classes: tuple[tuple[float, ...], ...] = ()


def detector_losses(truth: Tensors, output: Tensors, weights: LossWeights) -> Tensors:
    """Return each weighted part and their sum as ``total``."""
    smooth = truth["image"] * (1.0 - weights.label_smoothing) + 0.5 * weights.label_smoothing
    parts = {
        "image": weights.image * _binary(smooth, output["image"]),
        "map": weights.map * map_loss(truth["map"], output["map"]),
        "boxes": weights.boxes * box_loss(truth["boxes"], output["boxes"], truth["box_weight"]),
        "region": weights.region * _classes(truth["region"], output["region"]),
        "body_region": weights.body_region * _classes(truth["body_region"], output["body_region"]),
        "flags": weights.flags * _known_binary(truth["flags"], output["flags"]),
        "attributes": weights.attributes
        * _attributes(truth["attributes"], output["attributes"], weights.attribute_classes),
    }
    parts["total"] = tf.add_n(list(parts.values()))
    return parts


def map_loss(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Quality focal loss: dense, and easy empty cells count next to nothing.

    Every picture counts the same; the sum is taken per box so that small fractures matter.
    """
    distance = tf.square(truth - tf.sigmoid(logits))
    cost = distance * tf.nn.sigmoid_cross_entropy_with_logits(truth, logits)
    mass = tf.maximum(tf.reduce_sum(tf.cast(truth > 0.4, tf.float32)), 16.0)
    return 6.0 * tf.reduce_sum(cost) / mass


def box_loss(truth: tf.Tensor, output: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """GIoU loss on the cells of a box, plus a little log distance for a steady start."""
    weight = tf.squeeze(weight, -1)
    left = tf.minimum(truth, output)
    outer = tf.maximum(truth, output)
    overlap = (left[..., 0] + left[..., 2]) * (left[..., 1] + left[..., 3])
    area_truth = (truth[..., 0] + truth[..., 2]) * (truth[..., 1] + truth[..., 3])
    area_output = (output[..., 0] + output[..., 2]) * (output[..., 1] + output[..., 3])
    union = area_truth + area_output - overlap
    hull = (outer[..., 0] + outer[..., 2]) * (outer[..., 1] + outer[..., 3])
    giou = overlap / (union + 1e-6) - (hull - union) / (hull + 1e-6)
    log_distance = tf.reduce_mean(
        tf.abs(tf.math.log(truth + 1.0) - tf.math.log(output + 1.0)), axis=-1
    )
    cost = (1.0 - giou) + 0.5 * log_distance
    return tf.reduce_sum(cost * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)


def _binary(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, logits))


def _known_binary(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    known = tf.cast(truth >= 0.0, tf.float32)
    cost = tf.nn.sigmoid_cross_entropy_with_logits(tf.maximum(truth, 0.0), logits)
    return tf.reduce_sum(cost * known) / tf.maximum(tf.reduce_sum(known), 1.0)


def _classes(
    truth: tf.Tensor, logits: tf.Tensor, class_weights: tuple[float, ...] = ()
) -> tf.Tensor:
    index = tf.cast(truth, tf.int32)
    counts = tf.cast(index >= 0, tf.float32)
    index = tf.maximum(index, 0)
    if class_weights:
        counts *= tf.gather(tf.constant(class_weights, tf.float32), index)
    cost = tf.nn.sparse_softmax_cross_entropy_with_logits(index, logits)
    return tf.reduce_sum(cost * counts) / tf.maximum(tf.reduce_sum(counts), 1.0)


def _attributes(
    truth: tf.Tensor, logits: tf.Tensor, class_weights: tuple[tuple[float, ...], ...]
) -> tf.Tensor:
    sizes = [len(SEVERITIES), len(DISPLACEMENTS), len(PATTERNS)]
    weights = class_weights or ((), (), ())
    groups = tf.split(logits, sizes, axis=-1)
    return tf.add_n([_classes(truth[..., i], group, weights[i]) for i, group in enumerate(groups)])
