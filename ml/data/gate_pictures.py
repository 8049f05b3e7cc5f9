"""The pictures that the quality gate is fitted on: real limbs, photos of films, strangers."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ml.data.film_photos import photograph
from ml.data.fracatlas import Sample
from ml.data.imitations import IMITATIONS
from ml.data.pictures import read_grey
from ml.data.strangers.canvas import Gray
from ml.data.strangers.catalogue import draw_all, exported
from ml.decoding_common import has_real_color
from ml.gate import FILM_PHOTO, LIMB

TRUNK_FILE = Path(__file__).parent / "splits" / "fracatlas_trunk.csv"
_SMALLEST = 220  # a cut-out is enlarged to this, so that it is not refused for its size


@dataclass(frozen=True, slots=True)
class GatePicture:
    """One picture with what it is.

    Attributes:
        kind: one of ``ml.gate.CLASSES``.
        source: where it comes from or how it was made (``film``, ``inverted``, ``chest`` ...).
        origin: pictures with the same origin must not be on both sides of a test.
    """

    pixels: Gray
    kind: str
    source: str
    origin: str
    has_color: bool = False


@dataclass(frozen=True, slots=True)
class Cutout:
    """A part of a real picture that shows no limb; pixels, right and bottom exclusive."""

    image_id: str
    part: str
    left: int
    top: int
    right: int
    bottom: int


def read_cutouts(path: Path = TRUNK_FILE) -> list[Cutout]:
    """Read where chest, abdomen and skull are on the pictures of small children."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Cutout(
                row["image_id"],
                row["part"],
                *(int(row[side]) for side in ("left", "top", "right", "bottom")),
            )
            for row in csv.DictReader(stream)
        ]


def limbs(
    samples: Sequence[Sample], *, films: int, copies: int, photos: int, seed: int
) -> Iterator[GatePicture]:
    """Yield real limb radiographs, copies as of other machines, and photographs of films."""
    rng = np.random.default_rng(seed)
    usable = [s for s in samples if s.image_id not in {c.image_id for c in read_cutouts()}]
    names = tuple(IMITATIONS)

    def chosen(count: int) -> list[Sample]:
        order = rng.permutation(len(usable))[:count]
        return [usable[int(k)] for k in order]

    for sample in chosen(films):
        yield GatePicture(read_grey(sample.path), LIMB, "film", sample.image_id)
    for index, sample in enumerate(chosen(copies)):
        name = names[index % len(names)]
        pixels = IMITATIONS[name](read_grey(sample.path), rng)
        yield GatePicture(pixels, LIMB, name, sample.image_id)
    for sample in chosen(photos):
        yield photo_of(read_grey(sample.path), FILM_PHOTO, FILM_PHOTO, sample.image_id, rng)


def trunks(
    samples: Sequence[Sample], *, copies: int, seed: int, cutouts: Sequence[Cutout] | None = None
) -> Iterator[GatePicture]:
    """Yield real chests, abdomens and skulls of children among the samples, each with copies."""
    rng = np.random.default_rng(seed)
    paths: Mapping[str, Path] = {sample.image_id: sample.path for sample in samples}
    for cutout in cutouts if cutouts is not None else read_cutouts():
        if cutout.image_id not in paths or cutout.part == "whole":
            continue  # whole small children show their limbs too: neither taught nor refused
        film = read_grey(paths[cutout.image_id])
        cut = film[cutout.top : cutout.bottom, cutout.left : cutout.right]
        factor = max(1.0, _SMALLEST / min(cut.shape))
        larger = cv2.resize(cut, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        cut = np.asarray(larger, np.uint8)
        kind = "head" if cutout.part == "skull" else "trunk"
        source = f"child's {cutout.part}"
        yield GatePicture(cut, kind, source, cutout.image_id)
        for index in range(copies):
            if index % 5 == 4:
                yield photo_of(cut, kind, source, cutout.image_id, rng)
                continue
            name = str(rng.choice(tuple(IMITATIONS)))
            copy = IMITATIONS[name](exported(cut, rng), rng)
            yield GatePicture(copy, kind, source, cutout.image_id)


def drawings(count: int, *, seed: int) -> Iterator[GatePicture]:
    """Yield drawn strangers, ``count`` of each drawing."""
    for kind, name, pixels, has_color in draw_all(count, seed=seed):
        yield GatePicture(pixels, kind, name, name, has_color=has_color)


def photo_of(
    film: Gray, kind: str, source: str, origin: str, rng: np.random.Generator
) -> GatePicture:
    """Return a film photographed from a light box or a screen."""
    rgb = photograph(film, rng)
    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    return GatePicture(gray, kind, source, origin, has_color=has_real_color(rgb))
