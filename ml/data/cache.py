"""A memory-mapped copy of the training pictures, decoded once, so that batches cost no decoding."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ml.data.fracatlas import Sample
from ml.data.pictures import read_grey
from ml.preprocessing import PREPROCESSING_VERSION, Rect, find_content, find_limb, window_limits

_MAX_SIDE = 768


@dataclass(frozen=True, slots=True)
class CachedPicture:
    """One decoded picture and where its limb is.

    Attributes:
        pixels: ``uint8`` grey, cut-off fill removed, at most 768 on a side.
        scale: cache pixels for one pixel of the file.
        crop: the limb, in cache pixels.
        window: grey values that become black and white.
    """

    pixels: npt.NDArray[np.uint8]
    scale: float
    crop: Rect
    window: tuple[float, float]


class PictureCache:
    """Random access to decoded pictures; built on first use for exactly these samples."""

    def __init__(self, folder: Path, samples: Sequence[Sample]) -> None:
        index_file, data_file = folder / "index.json", folder / "pixels.bin"
        key = f"{PREPROCESSING_VERSION}:{len(samples)}"
        if not index_file.is_file() or json.loads(index_file.read_text())["key"] != key:
            _build(folder, samples, key)
        self._index = json.loads(index_file.read_text())["pictures"]
        self._data = np.memmap(data_file, np.uint8, mode="r")

    def __getitem__(self, image_id: str) -> CachedPicture:
        """Return one picture without copying its pixels."""
        entry = self._index[image_id]
        height, width = entry["shape"]
        start = entry["offset"]
        pixels = self._data[start : start + height * width].reshape(height, width)
        return CachedPicture(
            pixels=pixels,
            scale=entry["scale"],
            crop=Rect(*entry["crop"]),
            window=(entry["window"][0], entry["window"][1]),
        )


def _build(folder: Path, samples: Sequence[Sample], key: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, object] = {}
    offset = 0
    with (folder / "pixels.bin").open("wb") as file:
        for sample in samples:
            grey = read_grey(sample.path)
            content, _ = find_content(grey)
            crop = find_limb(grey, content)
            low, high = window_limits(grey[crop.top : crop.bottom, crop.left : crop.right])
            grey = grey[: content.bottom]
            scale = min(1.0, _MAX_SIDE / max(grey.shape))
            if scale < 1.0:
                grey = np.asarray(
                    cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA),
                    np.uint8,
                )
            height, width = grey.shape
            edges = (crop.left, crop.top, crop.right, crop.bottom)
            left, top, right, bottom = (round(edge * scale) for edge in edges)
            pictures[sample.image_id] = {
                "offset": offset,
                "shape": [height, width],
                "scale": scale,
                "crop": [left, top, min(right, width), min(bottom, height)],
                "window": [low, high],
            }
            file.write(np.ascontiguousarray(grey).tobytes())
            offset += height * width
    (folder / "index.json").write_text(json.dumps({"key": key, "pictures": pictures}))
