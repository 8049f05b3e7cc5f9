"""Copies of real radiographs as other machines, exports and habits would give them."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]


def inverted(image: Gray, _rng: np.random.Generator) -> Gray:
    """Bone dark."""
    return np.asarray(255 - image, np.uint8)


def close_up(image: Gray, rng: np.random.Generator) -> Gray:
    """Collimate to the middle two thirds or less."""
    height, width = image.shape
    share = float(rng.uniform(0.5, 0.7))
    h, w = max(160, round(height * share)), max(160, round(width * share))
    h, w = min(h, height), min(w, width)
    top = round((height - h) * rng.uniform(0.3, 0.7))
    left = round((width - w) * rng.uniform(0.3, 0.7))
    return np.ascontiguousarray(image[top : top + h, left : left + w])


def noisy(image: Gray, rng: np.random.Generator) -> Gray:
    """A low dose: grain of 8 grey values."""
    return _clipped(image + rng.normal(0.0, 8.0, image.shape))


def pale(image: Gray, _rng: np.random.Generator) -> Gray:
    """Gamma 0.5."""
    return _clipped(255.0 * (image / 255.0) ** 0.5)


def deep(image: Gray, _rng: np.random.Generator) -> Gray:
    """Gamma 2."""
    return _clipped(255.0 * (image / 255.0) ** 2.0)


def jpeg(image: Gray, _rng: np.random.Generator) -> Gray:
    """JPEG quality 30."""
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)


def turned(image: Gray, rng: np.random.Generator) -> Gray:
    """Turned by 90 degrees to either side or upside down."""
    return np.ascontiguousarray(np.rot90(image, int(rng.integers(1, 4))))


def tilted(image: Gray, rng: np.random.Generator) -> Gray:
    """Turned by up to 15 degrees, black corners."""
    height, width = image.shape
    angle = float(rng.uniform(5, 15) * rng.choice([-1, 1]))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height)), np.uint8)


def reduced(image: Gray, _rng: np.random.Generator) -> Gray:
    """About half the size, never below 160 pixels."""
    return _scaled(image, max(0.55, 160 / min(image.shape)))


def enlarged(image: Gray, _rng: np.random.Generator) -> Gray:
    """Twice the size."""
    return _scaled(image, 2.0)


def softened(image: Gray, _rng: np.random.Generator) -> Gray:
    """A softer detector: blur of 0.8 pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.8), np.uint8)


def equalised(image: Gray, _rng: np.random.Generator) -> Gray:
    """Local contrast as some machines raise it."""
    return np.asarray(cv2.createCLAHE(3.0, (8, 8)).apply(image), np.uint8)


IMITATIONS: Mapping[str, Callable[[Gray, np.random.Generator], Gray]] = {
    function.__name__: function
    for function in (
        inverted,
        close_up,
        noisy,
        pale,
        deep,
        jpeg,
        turned,
        tilted,
        reduced,
        enlarged,
        softened,
        equalised,
    )
}


def _clipped(values: npt.NDArray[np.floating]) -> Gray:
    return np.asarray(np.rint(np.clip(values, 0.0, 255.0)), np.uint8)


def _scaled(image: Gray, factor: float) -> Gray:
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    how = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
