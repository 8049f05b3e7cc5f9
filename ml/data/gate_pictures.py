"""The pictures that the quality gate is fitted on: real limbs, photos of films, strangers."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ml.data.film_photos import photograph
from ml.data.fracatlas import Sample
from ml.data.imitations import IMITATIONS
from ml.data.pictures import read_grey
from ml.data.strangers.canvas import Gray
from ml.data.strangers.catalogue import DRAWINGS, Drawing, draw_one, exported
from ml.data.synthetic import synthetic_radiograph
from ml.data.synthetic_anatomy import REGIONS
from ml.decoding_common import has_real_color
from ml.gate import FILM_PHOTO, LIMB

TRUNK_FILE = Path(__file__).parent / "splits" / "fracatlas_trunk.csv"
_HARD = ("inverted", "inverted", "close_up", "equalised")  # mistaken most often: shown more often
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


Recipe = Callable[[], GatePicture]  # made where it is looked at, so that processes can share


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
) -> list[Recipe]:
    """Return real limb radiographs, copies as of other machines, and photographs of films."""
    rng = np.random.default_rng(seed)
    trunk = {cutout.image_id for cutout in read_cutouts()}
    usable = [sample for sample in samples if sample.image_id not in trunk]
    names = (*IMITATIONS, *_HARD)

    def chosen(count: int) -> list[Sample]:
        return [usable[int(k)] for k in rng.permutation(len(usable))[:count]]

    return [
        *(partial(film_of, sample) for sample in chosen(films)),
        *(
            partial(copy_of, sample, names[index % len(names)], seed)
            for index, sample in enumerate(chosen(copies))
        ),
        *(partial(film_photo_of, sample, seed) for sample in chosen(photos)),
    ]


def trunks(samples: Sequence[Sample], *, copies: int, seed: int) -> list[Recipe]:
    """Return real chests, abdomens and skulls of children among the samples, each with copies."""
    paths: Mapping[str, Path] = {sample.image_id: sample.path for sample in samples}
    # Whole small children show their limbs too: neither taught nor refused.
    chosen = [c for c in read_cutouts() if c.image_id in paths and c.part != "whole"]
    return [
        partial(cutout_of, cutout, paths[cutout.image_id], index, seed)
        for cutout in chosen
        for index in range(copies + 1)
    ]


def drawings(count: int, *, seed: int) -> list[Recipe]:
    """Return drawn strangers, ``count`` of each drawing."""
    return [
        partial(drawing_of, kind, draw, index, seed)
        for kind, draws in DRAWINGS.items()
        for draw in draws
        for index in range(count)
    ]


def demo_limbs(count: int, *, seed: int) -> list[Recipe]:
    """Return the drawn limbs of the demo, ``count`` of each region: they must pass as limbs."""
    return [
        partial(demo_limb_of, region, seed * 10_000 + index)
        for region in REGIONS
        for index in range(count)
    ]


def demo_limb_of(region: str, seed: int) -> GatePicture:
    """Return one drawn limb, plain or as another machine would give it."""
    drawn = synthetic_radiograph(seed, region=region, fractured=bool(seed % 2))
    pixels = np.asarray(drawn.pixels, np.uint8)
    if seed % 3 == 0:
        rng = _rng(seed, region)
        pixels = IMITATIONS[str(rng.choice(tuple(IMITATIONS)))](pixels, rng)
    return GatePicture(pixels, LIMB, f"demo {region}", f"demo {region} {seed}")


def film_of(sample: Sample) -> GatePicture:
    """Return a radiograph as taken."""
    return GatePicture(read_grey(sample.path), LIMB, "film", sample.image_id)


def copy_of(sample: Sample, name: str, seed: int) -> GatePicture:
    """Return a radiograph as another machine would give it."""
    pixels = IMITATIONS[name](read_grey(sample.path), _rng(seed, name, sample.image_id))
    return GatePicture(pixels, LIMB, name, sample.image_id)


def film_photo_of(sample: Sample, seed: int) -> GatePicture:
    """Return a photograph of a radiograph."""
    rng = _rng(seed, FILM_PHOTO, sample.image_id)
    return _photographed(read_grey(sample.path), FILM_PHOTO, FILM_PHOTO, sample.image_id, rng)


def drawing_of(kind: str, draw: Drawing, index: int, seed: int) -> GatePicture:
    """Return one drawn stranger."""
    name = draw.__name__
    pixels, has_color = draw_one(kind, draw, _rng(seed + 1000 * index, name))
    return GatePicture(pixels, kind, name, name, has_color=has_color)


def cutout_of(cutout: Cutout, path: Path, index: int, seed: int) -> GatePicture:
    """Return a part of a child's picture: itself, then copies, every fifth of them a photo."""
    film = read_grey(path)
    cut = film[cutout.top : cutout.bottom, cutout.left : cutout.right]
    factor = max(1.0, _SMALLEST / min(cut.shape))
    larger = cv2.resize(cut, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    pixels = np.asarray(larger, np.uint8)
    kind = "head" if cutout.part == "skull" else "trunk"
    source = f"child's {cutout.part}"
    rng = _rng(seed + 1000 * index, cutout.part, cutout.image_id)
    if index and index % 5 == 0:
        return _photographed(pixels, kind, source, cutout.image_id, rng)
    if index:
        imitate = IMITATIONS[str(rng.choice(tuple(IMITATIONS)))]
        pixels = imitate(exported(pixels, rng), rng)
    return GatePicture(pixels, kind, source, cutout.image_id)


def _photographed(
    film: Gray, kind: str, source: str, origin: str, rng: np.random.Generator
) -> GatePicture:
    rgb = photograph(film, rng)
    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    return GatePicture(gray, kind, source, origin, has_color=has_real_color(rgb))


def _rng(seed: int, *names: str) -> np.random.Generator:
    """Return a generator of its own for each picture, whoever makes it and in whatever order."""
    return np.random.default_rng([seed, *"/".join(names).encode()])
