"""What a whole picture looks like in forty-one numbers, for the quality gate.

The network sees a stretched crop; levels, borders, symmetry and the spectrum of the whole picture
are lost there but tell radiographs from photographs and documents. About 8 ms on one core.
"""

import cv2
import numpy as np
import numpy.typing as npt

from ml.preprocessing import GrayImage, find_content
from ml.quality import Measurements, measure

_SIDE = 192
_BANDS = (0.02, 0.04, 0.08, 0.14, 0.22, 0.33, 0.5)  # cycles for each pixel
_FLOOR = 1e-6
COUNT = 41

Plane = npt.NDArray[np.float64]


def describe(
    image: GrayImage, *, has_color: bool, found: Measurements | None = None
) -> npt.NDArray[np.float32]:
    """Return ``COUNT`` finite numbers that do not depend on the picture's size in pixels.

    Args:
        image: ``(h, w)``, ``uint8`` or ``uint16`` of full range.
        has_color: the source had real chroma.
        found: what ``ml.quality.measure`` says of the image, where it was asked already.
    """
    content, _ = find_content(image)
    view = image[content.top : content.bottom, content.left : content.right]
    square = cv2.resize(view, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    full = 255.0 if image.dtype == np.uint8 else 65535.0
    low, high = np.percentile(square, (0.5, 99.5))
    normal = np.clip((square - low) / max(high - low, 1.0), 0.0, 1.0)
    histogram = np.histogram(normal, bins=8, range=(0.0, 1.0))[0] / normal.size
    found = found or measure(image)
    values = [
        1.0 if has_color else 0.0,
        abs(np.log(view.shape[1] / view.shape[0])),
        low / full,
        high / full,
        *np.sqrt(histogram),
        *_spectrum(normal),
        *_symmetry(normal),
        *_borders(normal),
        *_edges(normal),
        np.log(found.sharpness + 1e-3),
        found.grain,
        found.flat_share,
        np.sqrt(found.jump_share),
    ]
    return np.asarray(np.nan_to_num(values), np.float32)


def _spectrum(normal: Plane) -> list[float]:
    """Return the power in rings of frequency, and how much of it lies along the two axes."""
    window = np.hanning(_SIDE)[:, None] * np.hanning(_SIDE)[None, :]
    power = np.abs(np.fft.rfft2((normal - normal.mean()) * window)) ** 2
    fy, fx = np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None, :]
    radius = np.hypot(fx, fy)
    total = float(power[radius > 1.0 / _SIDE].sum()) + _FLOOR
    found = []
    for inner, outer in zip((1.0 / _SIDE, *_BANDS[:-1]), _BANDS, strict=True):
        ring = (radius > inner) & (radius <= outer)
        found.append(float(np.log(power[ring].mean() / total + 1e-12)))
    middle = (radius > _BANDS[0]) & (radius <= _BANDS[-2])
    strength = float(power[middle].sum()) + _FLOOR
    along_x = float(power[middle & (np.abs(fy) < 0.15 * np.abs(fx))].sum()) / strength
    along_y = float(power[middle & (np.abs(fx) < 0.15 * np.abs(fy))].sum()) / strength
    return [*found, max(along_x, along_y), min(along_x, along_y)]


def _symmetry(normal: Plane) -> list[float]:
    """Return how much the picture resembles its mirror images and its half turn."""
    small = cv2.resize(normal, (48, 48), interpolation=cv2.INTER_AREA)
    flips = (small[:, ::-1], small[::-1], small[::-1, ::-1])
    deviation = float(small.var()) + _FLOOR
    centred = small - small.mean()
    return [float((centred * (flip - small.mean())).mean()) / deviation for flip in flips]


def _borders(normal: Plane) -> list[float]:
    """Return level and unrest of the rim, the corners and the middle."""
    edge = _SIDE // 24
    rims = (normal[:edge], normal[-edge:], normal[:, :edge], normal[:, -edge:])
    means = np.sort([float(rim.mean()) for rim in rims])
    corner = _SIDE // 8
    corners = (
        normal[:corner, :corner],
        normal[:corner, -corner:],
        normal[-corner:, :corner],
        normal[-corner:, -corner:],
    )
    middle = normal[_SIDE // 3 : -_SIDE // 3, _SIDE // 3 : -_SIDE // 3]
    return [
        *(float(value) for value in means),
        float(np.mean([rim.std() for rim in rims])),
        float(np.mean([part.mean() for part in corners])),
        float(middle.mean()),
    ]


def _edges(normal: Plane) -> list[float]:
    """Return how heavy the tails of the gradient are and how the local contrast is spread."""
    dx = cv2.Sobel(normal, cv2.CV_64F, 1, 0)
    dy = cv2.Sobel(normal, cv2.CV_64F, 0, 1)
    strength = np.hypot(dx, dy)
    mean = float(strength.mean()) + _FLOOR
    blurred = cv2.GaussianBlur(normal, (0, 0), 6.0)
    local = np.sqrt(np.maximum(cv2.GaussianBlur(normal**2, (0, 0), 6.0) - blurred**2, 0.0))
    calm, busy = np.percentile(local, (20.0, 90.0))
    return [
        float(np.log(mean)),
        float(np.log(strength.std() / mean + _FLOOR)),
        float(calm),
        float(busy),
        float((strength < 0.02).mean()),
        float(np.median(normal)),
    ]
