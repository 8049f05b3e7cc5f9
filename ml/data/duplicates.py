"""Find pictures that are the same, or nearly the same, whatever their files are called."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Key = TypeVar("Key", bound=Hashable)
Hash = npt.NDArray[np.uint64]
Thumb = npt.NDArray[np.float32]

_SIDE: Final = 16  # 256 bits: with 64, many radiographs of one view look alike
_THUMB: Final = 32
_MAX_DISTANCE: Final = 20
_MIN_CORRELATION: Final = 0.985
_BLOCK: Final = 512


def difference_hash(pixels: npt.NDArray[np.generic]) -> Hash:
    """Return 256 bits as four ``uint64``: is each cell brighter than its left neighbour.

    Args:
        pixels: ``(height, width)``, ``uint8`` or ``uint16``.
    """
    small = cv2.resize(
        np.asarray(pixels, np.float32), (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA
    )
    return np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)


def thumbnail(pixels: npt.NDArray[np.generic]) -> Thumb:
    """Return 32 x 32 values with mean 0 and length 1, so that a product is a correlation."""
    small = cv2.resize(
        np.asarray(pixels, np.float32), (_THUMB, _THUMB), interpolation=cv2.INTER_AREA
    ).ravel()
    small = small - small.mean()
    return np.asarray(small / max(1e-6, float(np.linalg.norm(small))), np.float32)


def near_pairs(hashes: Sequence[Hash], thumbs: Sequence[Thumb]) -> list[tuple[int, int]]:
    """Return index pairs whose hashes differ in few bits and whose thumbnails agree."""
    if len(hashes) < 2:
        return []
    table, pictures = np.stack(hashes), np.stack(thumbs)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(table), _BLOCK):
        rows = table[start : start + _BLOCK]
        distance = np.zeros((len(rows), len(table) - start), np.uint16)
        for word in range(table.shape[1]):
            different = rows[:, word, None] ^ table[None, start:, word]
            distance += np.bitwise_count(different)
        for left, right in np.argwhere(distance <= _MAX_DISTANCE):
            one, other = start + int(left), start + int(right)
            if one < other and float(pictures[one] @ pictures[other]) >= _MIN_CORRELATION:
                pairs.append((one, other))
    return pairs


def joined(groups: Iterable[Sequence[Key]]) -> list[list[Key]]:
    """Join groups that share a member, directly or through others, in order of first sight."""
    parent: dict[Key, Key] = {}

    def root(key: Key) -> Key:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for group in groups:
        for member in group:
            parent[root(member)] = root(group[0])
    found: dict[Key, list[Key]] = defaultdict(list)
    for key in list(parent):
        found[root(key)].append(key)
    return list(found.values())
