"""What is wrong with a data set: damaged files, duplicates, contradictions, stray boxes."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from ml.contracts import Box, UnreadableImageError
from ml.data.duplicates import (
    Hash,
    Thumb,
    difference_hash,
    joined,
    near_pairs,
    thumbnail,
)
from ml.data.records import Problem, Reading, Record, StoredSize, stored_size
from ml.decoding import decode_image

_TOLERANCE: Final = 1.0  # pixels; drawing tools round


@dataclass(frozen=True, slots=True)
class Report:
    """The findings; every list holds image ids, groups are lists of them.

    Attributes:
        unreadable: image id -> refusal code of ``ml.decoding``.
        damaged: readable, but cut off at the end.
        near_duplicates: groups that are not exact duplicates.
        label_conflicts: groups of duplicates with both labels, and single contradictory pictures.
        boxes_outside: pictures with a box that leaves them or is empty.
        turned_boxes: pictures with boxes that EXIF turns: look at one before training.
    """

    pictures: int
    unreadable: dict[str, str]
    damaged: list[str]
    exact_duplicates: list[list[str]]
    near_duplicates: list[list[str]]
    label_conflicts: list[list[str]]
    boxes_outside: list[str]
    turned_boxes: list[str]
    label_problems: list[Problem]
    counts: dict[str, dict[str, int]]

    @property
    def sound(self) -> bool:
        """Tell whether nothing was found that must be settled before training."""
        return not (
            self.unreadable or self.damaged or self.label_conflicts or self.boxes_outside
        ) and not any((self.exact_duplicates, self.near_duplicates, self.label_problems))

    def as_json(self) -> dict[str, Any]:
        """Return plain values for a json file."""
        return {"schema": 1, "sound": self.sound, **asdict(self)}


def check(reading: Reading, progress: Iterable[Record] | None = None) -> Report:
    """Read every picture once.

    Args:
        reading: what a reader gave.
        progress: the records again, wrapped to show how far it is.
    """
    unreadable: dict[str, str] = {}
    damaged, outside, turned = [], [], []
    by_pixels: dict[str, list[Record]] = defaultdict(list)
    readable: list[Record] = []
    hashes: list[Hash] = []
    thumbs: list[Thumb] = []
    for record in reading.records if progress is None else progress:
        try:
            image = decode_image(record.path.read_bytes())
            pixels = image.frames[0]
        except UnreadableImageError as error:
            unreadable[record.image_id] = error.code
            continue
        except OSError:
            unreadable[record.image_id] = "missing_file"
            continue
        if "truncated_file" in image.warnings:
            damaged.append(record.image_id)
        size = stored_size(record.path) or StoredSize(image.width, image.height)
        boxes = [fracture.box for fracture in record.fractures]
        if boxes and size.orientation != 1:
            turned.append(record.image_id)
        if not all(_inside(box, size) for box in boxes):
            outside.append(record.image_id)
        digest = hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode())
        digest.update(np.ascontiguousarray(pixels).tobytes())
        by_pixels[digest.hexdigest()].append(record)
        if len(by_pixels[digest.hexdigest()]) == 1:
            readable.append(record)
            hashes.append(difference_hash(pixels))
            thumbs.append(thumbnail(pixels))
    exact = [group for group in by_pixels.values() if len(group) > 1]
    near = _near_groups(readable, hashes, thumbs)
    return Report(
        pictures=len(reading.records),
        unreadable=unreadable,
        damaged=damaged,
        exact_duplicates=[[r.image_id for r in group] for group in exact],
        near_duplicates=near,
        label_conflicts=_conflicts(reading.records, exact, near),
        boxes_outside=outside,
        turned_boxes=turned,
        label_problems=list(reading.problems),
        counts=_counts(reading.records),
    )


def _inside(box: Box, size: StoredSize) -> bool:
    return (
        box.width > 0
        and box.height > 0
        and box.x >= -_TOLERANCE
        and box.y >= -_TOLERANCE
        and box.x + box.width <= size.width + _TOLERANCE
        and box.y + box.height <= size.height + _TOLERANCE
    )


def _near_groups(
    records: Sequence[Record], hashes: Sequence[Hash], thumbs: Sequence[Thumb]
) -> list[list[str]]:
    pairs = near_pairs(hashes, thumbs)
    return [sorted(records[i].image_id for i in group) for group in joined(pairs)]


def _conflicts(
    records: Sequence[Record], exact: Sequence[Sequence[Record]], near: Sequence[Sequence[str]]
) -> list[list[str]]:
    fractured = {r.image_id: r.fractured for r in records}
    same = joined([*([r.image_id for r in group] for group in exact), *near])
    groups = [sorted(g) for g in same if len({fractured[i] for i in g}) > 1]
    told = {image_id for group in groups for image_id in group}
    single = [[r.image_id] for r in records if r.label_conflict and r.image_id not in told]
    return sorted([*groups, *single])


def _counts(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    counted = {
        "fractured": Counter("yes" if r.fractured else "no" for r in records),
        "label": Counter(r.label for r in records),
        "region": Counter(r.region or "unknown" for r in records),
        "published_part": Counter(r.published_part or "none" for r in records),
        "box_label": Counter(name for r in records for name in r.box_labels),
    }
    return {name: dict(sorted(counter.items())) for name, counter in counted.items()}
