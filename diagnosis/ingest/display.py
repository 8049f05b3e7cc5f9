"""A stored image as a reader sees it, in its own size."""

from typing import Any

import numpy as np
import numpy.typing as npt

from diagnosis.ingest.renditions import windowed
from ml.decoding import decode_image


def shown_pixels(served: bytes) -> npt.NDArray[np.uint8]:
    """Return the first frame of a sanitised copy, height by width, 8 bits, bone bright.

    Raises:
        UnreadableImageError: it is no copy of ours.
    """
    frame: npt.NDArray[Any] = decode_image(served, min_side=1).frames[0]
    return windowed(frame)
