"""Read a radiograph of a training folder as grey pixels, stored orientation."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt


def read_grey(path: Path) -> npt.NDArray[np.uint8]:
    """Return ``(h, w)`` grey values; a cut-off JPEG gives what it has.

    Raises:
        ValueError: the file cannot be read as a picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ValueError(f"cannot read {path}")
    return np.asarray(image, np.uint8)
