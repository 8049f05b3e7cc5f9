"""The fracture map as a heatmap of the whole image, and how well a heatmap points."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ml.contracts import Box
from ml.preprocessing import Geometry

HEATMAP_LONG_SIDE = 224

Heatmap = npt.NDArray[np.uint8]


def heatmap_of_image(
    values: npt.NDArray[np.float32], geometry: Geometry, *, long_side: int = HEATMAP_LONG_SIDE
) -> Heatmap:
    """Lay a map of the model's input over the whole decoded image.

    Args:
        values: ``(h, w)`` over the input square, 0 to 1, absolute (not stretched per image, so
            that a faint map stays faint).
        geometry: where the input came from.
        long_side: longer side of the result.

    Returns:
        ``uint8`` of the image's aspect, 0 to 255; what was cropped away is 0.
    """
    longer = max(geometry.image_width, geometry.image_height)
    factor = min(1.0, long_side / longer)
    width = max(1, round(geometry.image_width * factor))
    height = max(1, round(geometry.image_height * factor))
    # Centres of the result's pixels -> image pixels -> input pixels -> cells of the map.
    image_x = (np.arange(width, dtype=np.float64) + 0.5) * geometry.image_width / width
    image_y = (np.arange(height, dtype=np.float64) + 0.5) * geometry.image_height / height
    cells_x = values.shape[1] / geometry.input_size
    cells_y = values.shape[0] / geometry.input_size
    map_x = ((image_x - geometry.crop.left) * geometry.scale + geometry.pad_x) * cells_x - 0.5
    map_y = ((image_y - geometry.crop.top) * geometry.scale + geometry.pad_y) * cells_y - 0.5
    grid_x, grid_y = np.meshgrid(map_x.astype(np.float32), map_y.astype(np.float32))
    laid = cv2.remap(
        values.astype(np.float32),
        grid_x,
        grid_y,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0.0,),
    )
    crop = geometry.crop
    outside_x = (image_x < crop.left) | (image_x > crop.right)
    outside_y = (image_y < crop.top) | (image_y > crop.bottom)
    laid[outside_y, :] = 0.0
    laid[:, outside_x] = 0.0
    return np.asarray(np.clip(np.rint(laid * 255.0), 0, 255), np.uint8)


def pointing_hit(
    heatmap: npt.NDArray[np.generic], boxes: Sequence[Box], width: int, height: int
) -> bool:
    """Return whether the hottest place lies in any of the boxes (the pointing game)."""
    row, column = np.unravel_index(int(np.argmax(heatmap)), heatmap.shape)
    x = (float(column) + 0.5) * width / heatmap.shape[1]
    y = (float(row) + 0.5) * height / heatmap.shape[0]
    return any(b.x <= x <= b.x + b.width and b.y <= y <= b.y + b.height for b in boxes)


def energy_in_boxes(
    heatmap: npt.NDArray[np.generic], boxes: Sequence[Box], width: int, height: int
) -> float:
    """Return the share of the heat that lies in the boxes, 0 to 1; 0 for an empty map."""
    rows, columns = heatmap.shape
    inside = np.zeros((rows, columns), bool)
    for box in boxes:
        left, right = box.x * columns / width, (box.x + box.width) * columns / width
        top, bottom = box.y * rows / height, (box.y + box.height) * rows / height
        inside[
            max(0, int(np.floor(top))) : max(1, int(np.ceil(bottom))),
            max(0, int(np.floor(left))) : max(1, int(np.ceil(right))),
        ] = True
    total = float(heatmap.astype(np.float64).sum())
    return float(heatmap.astype(np.float64)[inside].sum()) / total if total > 0.0 else 0.0


if __name__ == "__main__":
    from ml.explain_command import main

    main()
