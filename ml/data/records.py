"""The one record that every data set reader gives, and what readers share."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from ml.contracts import Box, UnreadableImageError
from ml.data.fracatlas import Fracture, Sample
from ml.decoding import decode_image

PICTURE_SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".bmp", ".webp"}
)
_EXIF_ORIENTATION: Final = 274
_TURNED: Final = (5, 6, 7, 8)  # orientations that swap width and height
_WITHOUT_FRACTURE: Final = frozenset(
    {
        *("0", "background", "healthy", "intact", "negative", "nofinding", "nofracture"),
        *("nofractures", "nonfracture", "nonfractured", "normal", "notfracture", "notfractured"),
        *("unbroken", "unfractured", "without", "withoutfracture"),
    }
)
# Web tools publish several augmented copies of one picture as NAME.rf.HASH.jpg.
_COPY_MARK: Final = re.compile(r"\.rf\.[0-9a-zA-Z]+$")
_PARTS: Final = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}


class DatasetError(ValueError):
    """The folder is not a data set of the named format; the text is for the person who ran it."""


@dataclass(frozen=True, slots=True)
class Record(Sample):
    """A sample with what its publisher says about it.

    Boxes are in pixels of the picture as stored, as ``ml.data.pictures`` reads it.

    Attributes:
        label: the publisher's own class, ``""`` when there is none.
        published_part: ``train``, ``validation``, ``test``, or ``""``.
        box_labels: the publisher's class of each fracture.
    """

    label: str = ""
    published_part: str = ""
    box_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the labels that contradicts itself or leads nowhere.

    Attributes:
        code: stable, such as ``missing_file`` or ``bad_line``.
        where: image id or file.
    """

    code: str
    where: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader found, sorted by image id."""

    records: tuple[Record, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredSize:
    """Width and height as stored, and how EXIF wants the picture turned (1: not at all)."""

    width: int
    height: int
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """Return width and height as a viewer shows them."""
        turned = self.orientation in _TURNED
        return (self.height, self.width) if turned else (self.width, self.height)


def record(
    image_id: str,
    path: Path,
    *,
    fractured: bool,
    boxes: Iterable[tuple[Box, str]] = (),
    group: str = "",
    block: str = "",
    region: str = "",
    body_region: int = -1,
    view: str = "",
    hardware: bool = False,
    label_conflict: bool = False,
    label: str = "",
    published_part: str = "",
) -> Record:
    """Build a record; what a layout does not say stays unknown."""
    boxes = tuple(boxes)
    own_group = group or source_name(image_id)
    return Record(
        image_id=image_id,
        path=path,
        fractured=fractured,
        region=region,
        body_region=body_region,
        hardware=hardware,
        cast=False,
        view=view,
        group=own_group,
        block=block or own_group,
        label_conflict=label_conflict,
        truncated=False,
        fractures=tuple(Fracture(box, -1, -1, -1) for box, _ in boxes),
        label=label,
        published_part=published_part,
        box_labels=tuple(name for _, name in boxes),
    )


def reading(records: Iterable[Record], problems: Iterable[Problem], path: Path) -> Reading:
    """Sort what was found.

    Raises:
        DatasetError: there is no labelled picture at all.
    """
    found = tuple(sorted(records, key=lambda r: r.image_id))
    if not found:
        raise DatasetError(f"{path}: no labelled pictures found in this format")
    return Reading(found, tuple(sorted(problems, key=lambda p: (p.code, p.where))))


def source_name(image_id: str) -> str:
    """Return what augmented copies of one picture have in common."""
    stem = Path(image_id).stem
    return _COPY_MARK.sub("", stem) if _COPY_MARK.search(stem) else image_id


def part_of(path: Path) -> str:
    """Return the published part that a folder of the path names."""
    return next((_PARTS[p.lower()] for p in path.parts[:-1] if p.lower() in _PARTS), "")


def find_pictures(folder: Path) -> dict[str, Path]:
    """Return relative path -> file of every picture below a folder; hidden files are left out.

    Raises:
        DatasetError: no such folder, or no pictures in it.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    files = ((path.relative_to(folder), path) for path in sorted(folder.rglob("*")))
    found = {
        relative.as_posix(): path
        for relative, path in files
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not any(part.startswith(".") for part in relative.parts)
        and path.is_file()
    }
    if not found:
        raise DatasetError(f"{folder}: no pictures found")
    return found


class PictureIndex:
    """Finds the picture that a label means, only ever among those below the folder."""

    def __init__(self, pictures: Mapping[str, Path]) -> None:
        self.pictures = pictures
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for image_id in pictures:
            name = Path(image_id).name
            self._by_name[name].append(image_id)
            self._by_name[Path(name).stem].append(image_id)

    def find(self, name: str, *, near: str = "") -> str | None:
        """Return the image id for a path, file name or stem; ``None`` if none or several fit."""
        name = name.replace("\\", "/")
        for candidate in (f"{near}/{name}" if near else name, name):
            if candidate in self.pictures:
                return candidate
        found = self._by_name.get(Path(name).name, [])
        beside = [i for i in found if near and i.startswith(f"{near}/")]
        fitting = beside if len(beside) == 1 else found
        return fitting[0] if len(fitting) == 1 else None


def fracture_classes(
    names: Iterable[str], chosen: Iterable[str] = (), *, drawn: bool = False
) -> frozenset[str]:
    """Return which classes mean a fracture: the chosen ones, or what their names tell.

    Args:
        names: all classes of the data set.
        chosen: classes named by the user; they end all guessing.
        drawn: the classes are of drawn boxes, where "normal" need not be a class.

    Raises:
        DatasetError: a chosen class does not exist, or the names tell nothing.
    """
    names, chosen = frozenset(names), frozenset(chosen)
    if chosen - names:
        raise DatasetError(f"no such class: {', '.join(sorted(chosen - names))}")
    if chosen:
        return chosen
    # "0" is a class without a name where boxes are drawn, and "no" where pictures are sorted.
    none = _WITHOUT_FRACTURE - {"0"} if drawn else _WITHOUT_FRACTURE
    others = frozenset(n for n in names if _plain(n) not in none)
    said = frozenset(n for n in others if "fractur" in n.lower() or "broken" in n.lower())
    if drawn:
        return said or others
    if others != names:
        return others
    if said:
        return said
    raise DatasetError(
        f"which of these classes mean a fracture? {', '.join(sorted(names))}: use --fracture-class"
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def stored_size(path: Path) -> StoredSize | None:
    """Return the size of a picture from its header, ``None`` when it cannot be read."""
    try:
        with Image.open(path) as image:
            orientation = int(image.getexif().get(_EXIF_ORIENTATION, 1))
            orientation = orientation if 1 <= orientation <= 8 else 1
            width, height = image.size
            if image.format == "TIFF" and orientation in _TURNED:
                width, height = height, width  # Pillow gives the upright size of this format
            return StoredSize(width, height, orientation)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass
    try:
        decoded = decode_image(path.read_bytes())
    except (OSError, UnreadableImageError):
        return None
    return StoredSize(decoded.width, decoded.height)


def to_stored(box: Box, size: StoredSize) -> Box:
    """Turn a box drawn on the upright picture back into pixels of the stored one."""
    x, y, w, h = box.x, box.y, box.width, box.height
    if size.orientation in _TURNED:
        x, y, w, h = y, x, h, w
    if size.orientation in {2, 3, 7, 8}:
        x = size.width - x - w
    if size.orientation in {3, 4, 6, 7}:
        y = size.height - y - h
    return Box(x, y, w, h)
