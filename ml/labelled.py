"""A folder of labelled pictures to measure a model on: what it says, and what it leaves out."""

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.data.fracatlas import Sample, read_columns, read_manifest
from ml.data.records import PICTURE_SUFFIXES


class LabelledDataError(ValueError):
    """The folder cannot be measured on; the text is for the person who ran the command."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """The pictures that can be measured on.

    Attributes:
        samples: with their labels, sorted by image id; contradictory ones left out.
        columns: of the manifest, and those of the boxes as ``boxes.NAME``.
        conflicting: how many were left out because their labels contradict each other.
    """

    samples: tuple[Sample, ...]
    columns: frozenset[str]
    conflicting: int

    @property
    def unit(self) -> str:
        """What is drawn by the bootstrap: ``block``, ``group`` or ``image``."""
        return next((name for name in ("block", "group") if name in self.columns), "image")


def read_labelled(
    manifest: Path,
    images: Path,
    boxes: Path | None = None,
    *,
    only: Collection[str] | None = None,
) -> Labelled:
    """Read a manifest, its boxes and where the pictures are.

    A picture may have another suffix than its image id, or the id none: jpg, png, dcm and tif are
    tried.

    Args:
        manifest: CSV with at least ``image_id`` and ``fractured``.
        images: folder of the pictures.
        boxes: CSV with ``image_id``, ``x``, ``y``, ``w`` and ``h``.
        only: image ids to keep; all by default.

    Raises:
        LabelledDataError: a file is missing or not readable as such; the first one is named.
    """
    for path in (manifest, boxes):
        if path is not None and not path.is_file():
            raise LabelledDataError(f"there is no file {path}")
    if not images.is_dir():
        raise LabelledDataError(f"there is no folder {images}")
    try:
        samples = read_manifest(manifest, images, boxes)
        columns = read_columns(manifest)
        if boxes is not None:
            columns |= {f"boxes.{name}" for name in read_columns(boxes)}
    except (ValueError, OSError) as error:
        raise LabelledDataError(str(error)) from error
    samples = [s for s in samples if only is None or s.image_id in only]
    kept = [sample for sample in samples if not sample.label_conflict]
    return Labelled(tuple(located(kept, images)), columns, len(samples) - len(kept))


def located(samples: Sequence[Sample], images: Path) -> list[Sample]:
    """Return the samples with the files that are really there.

    Raises:
        LabelledDataError: some are not; the first one and their number are named.
    """
    there = {path.name for path in images.iterdir()}
    found, missing = [], []
    for sample in samples:
        path = _locate(sample, images, there)
        if path is None:
            missing.append(sample.image_id)
        else:
            found.append(dataclasses.replace(sample, path=path))
    if missing:
        raise LabelledDataError(
            f"{len(missing)} of {len(samples)} pictures are not in {images}, the first is "
            f"{missing[0]}"
        )
    return found


def _locate(sample: Sample, images: Path, there: set[str]) -> Path | None:
    if sample.image_id in there or (images / sample.image_id).is_file():
        return images / sample.image_id
    stems = dict.fromkeys((sample.image_id, Path(sample.image_id).stem))
    names = (f"{stem}{suffix}" for stem in stems for suffix in sorted(PICTURE_SUFFIXES))
    return next((images / name for name in names if name in there), None)
