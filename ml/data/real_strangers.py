"""Real pictures that are no limb radiograph: which source is for what, and variants to teach on.

``splits/strangers_v1.csv`` names every picture that ``ml.data.strangers.collect`` gathers, by whole
sources, so that nothing of one source is taught and tested. No picture is part of the product.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ml.data.film_photos import photograph
from ml.data.gate_pictures import GatePicture, Recipe
from ml.data.strangers.canvas import Gray
from ml.data.strangers.catalogue import exported
from ml.decoding_common import has_real_color

LIST_FILE = Path(__file__).parent / "splits" / "strangers_v1.csv"
TAUGHT, DEVELOPMENT, TEST = "taught", "development", "test"
_FEWEST_VARIANTS, _MOST_VARIANTS = 3, 12  # of one picture
_SHORTEST = 160  # pixels; what is smaller is refused for its size


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list.

    Attributes:
        kind: class of the gate.
        use: ``taught``, ``development`` (looked at, not taught) or ``test``.
        sha256: of the pixels as gathered.
    """

    kind: str
    source: str
    use: str
    name: str
    sha256: str


def read_list(path: Path = LIST_FILE) -> list[Listed]:
    """Read the list of pictures."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [Listed(**row) for row in csv.DictReader(stream)]


def uses(listed: Sequence[Listed]) -> Mapping[str, str]:
    """Return what each source is for.

    Raises:
        ValueError: a source is on two sides.
    """
    found: dict[str, str] = {}
    for picture in listed:
        if found.setdefault(picture.source, picture.use) != picture.use:
            raise ValueError(f"{picture.source} is for two uses")
    return found


def as_gathered(folder: Path) -> list[tuple[str, Recipe]]:
    """Return use and recipe of each picture in a folder, coloured ones a second time in grey.

    Pictures of sources that are not listed are for ``test``.
    """
    use_of = uses(read_list())
    recipes: list[tuple[str, Recipe]] = []
    for path in sorted(folder.glob("*/*/*.png")):
        use = use_of.get(path.parts[-2], TEST)
        recipes.append((use, partial(stranger, path)))
        with Image.open(path) as image:
            colored = has_real_color(np.asarray(image.convert("RGB")))
        if colored:
            recipes.append((use, partial(stranger, path, has_color=True)))
    return recipes


def stranger(path: Path, *, has_color: bool = False) -> GatePicture:
    """Return one picture of a folder of strangers, whose grandparent names the class."""
    with Image.open(path) as image:
        gray = np.asarray(image.convert("L"), np.uint8)
    source = f"{path.parts[-2]}, {'colour' if has_color else 'grey'}"
    return GatePicture(gray, path.parts[-3], source, path.stem, has_color=has_color)


def taught(folder: Path, *, each: int, seed: int) -> list[Recipe]:
    """Return about ``each`` variants of every source that is taught, 3 to 12 of one picture.

    Raises:
        FileNotFoundError: the folder lacks a listed picture.
    """
    by_source: dict[str, list[Path]] = {}
    for picture in read_list():
        path = folder / picture.kind / picture.source / f"{picture.name}.png"
        if picture.use == TAUGHT:
            if not path.is_file():
                raise FileNotFoundError(path)
            by_source.setdefault(picture.source, []).append(path)
    return [
        partial(variant, path, index, seed)
        for paths in by_source.values()
        for path in paths
        for index in range(min(_MOST_VARIANTS, max(_FEWEST_VARIANTS, round(each / len(paths)))))
    ]


def variant(path: Path, index: int, seed: int) -> GatePicture:
    """Return a picture as it is (0) or as others would have framed, lit and stored it."""
    kind, source = path.parts[-3:-1]
    rng = np.random.default_rng([seed, index, *f"{source}/{path.stem}".encode()])
    with Image.open(path) as image:
        rgb = np.asarray(image.convert("RGB"), np.uint8)
    if index == 0:
        gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
        return GatePicture(gray, kind, source, path.stem)
    if kind == "picture":
        rgb = _framed(rgb, rng, least=0.35)
    else:
        rgb = _framed(_moved(rgb, rng), rng, least=0.75)
    if kind != "picture" and rng.random() < 0.1:
        rgb = photograph(np.asarray(rgb[..., 0], np.uint8), rng)
        colored = has_real_color(rgb)
    else:
        colored = has_real_color(rgb) and bool(rng.random() < 0.4)
    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    pixels = exported(_lit(gray, rng), rng)
    return GatePicture(pixels, kind, source, path.stem, has_color=colored)


def _framed(rgb: Gray, rng: np.random.Generator, *, least: float) -> Gray:
    """Cut a part out, mirror and turn it."""
    height, width = rgb.shape[:2]
    if rng.random() < 0.75:
        h = min(height, max(_SHORTEST, round(height * float(rng.uniform(least, 1.0)))))
        w = min(width, max(_SHORTEST, round(width * float(rng.uniform(least, 1.0)))))
        top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        rgb = rgb[top : top + h, left : left + w]
    if rng.random() < 0.5:
        rgb = rgb[:, ::-1]
    if rng.random() < 0.2:
        rgb = np.rot90(rgb, int(rng.integers(1, 4)))
    return np.ascontiguousarray(rgb)


def _moved(rgb: Gray, rng: np.random.Generator) -> Gray:
    """Turn a slice a little, stretch it, show it smaller on a wider black ground."""
    height, width = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D(
        (width / 2, height / 2), float(rng.normal(0, 8)), float(rng.uniform(0.65, 1.15))
    )
    turn[0] *= float(np.exp(rng.normal(0.0, 0.08)))
    return np.asarray(cv2.warpAffine(rgb, turn, (width, height), flags=cv2.INTER_CUBIC), np.uint8)


def _lit(gray: Gray, rng: np.random.Generator) -> Gray:
    """Choose another window and gamma."""
    low, high = np.percentile(gray, (0.5, 99.5))
    tone = (gray - low) / max(float(high - low), 1.0)
    tone = (tone - rng.uniform(-0.05, 0.12)) * rng.uniform(0.85, 1.4)
    tone = np.clip(tone, 0.0, 1.0) ** float(np.exp(rng.normal(0.0, 0.3)))
    return np.asarray(np.rint(tone * 255), np.uint8)
