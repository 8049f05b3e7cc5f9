"""A radiograph on a light box as a camera sees it, with known corners."""

import cv2
import numpy as np
import numpy.typing as npt

from ml.data.synthetic import synthetic_radiograph

CORNERS = [(0.30, 0.07), (0.71, 0.11), (0.69, 0.94), (0.28, 0.90)]


def photographed(
    film: npt.NDArray[np.uint8] | None = None,
    *,
    corners: list[tuple[float, float]] = CORNERS,
    size: tuple[int, int] = (1280, 960),
    blur: float = 0.0,
) -> npt.NDArray[np.uint8]:
    """Return grey values, height by width; ``size`` is width and height."""
    if film is None:
        drawn = synthetic_radiograph(7, region="forearm", fractured=True).pixels
        film = np.asarray(drawn / max(drawn.max(), 1) * 210, np.uint8)
        film = cv2.resize(film, (720, 960), interpolation=cv2.INTER_CUBIC)
        cv2.putText(film, "R", (60, 90), cv2.FONT_HERSHEY_SIMPLEX, 2, (230,), 5, cv2.LINE_AA)
    height, width = film.shape
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    target = (np.array(corners) * size).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    light = cv2.warpPerspective(10 + 0.9 * film, matrix, size, flags=cv2.INTER_LINEAR)
    cover = cv2.warpPerspective(np.ones(film.shape), matrix, size)
    scene = np.full((size[1], size[0]), 228.0)
    photo = scene * (1 - cover) + light * cover
    if blur:
        photo = cv2.GaussianBlur(photo, (0, 0), blur)
    return np.clip(photo, 0, 255).astype(np.uint8)


def jpeg(photo: npt.NDArray[np.uint8], quality: int = 92) -> bytes:
    """Encode as a camera does; the same picture gives the same bytes."""
    done, encoded = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return encoded.tobytes()
