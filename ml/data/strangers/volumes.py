"""Volumes of CT and MR: read them, cut slices out of them, project them as a radiograph would."""

import gzip
import plistlib
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]
Volume = npt.NDArray[np.float64]
_NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2"}
_WATER = 0.02  # attenuation for each millimetre, as at the tube voltages of a skull film
_VIEWS = (0, 20, 45, 70, 90, 110, 160, 270)  # degrees around the long axis
_SIDE = 320  # pixels of the longer side that is written


def read_nifti(path: Path) -> Volume:
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


def read_project(path: Path) -> tuple[Volume, tuple[float, float, float]]:
    """Return the CT of an InVesalius project in Hounsfield units and its spacing in millimetres.

    Returns:
        ``(z, y, x)`` with the head's top last, and the spacing in the same order.

    Raises:
        KeyError: no such project.
    """
    with tarfile.open(path) as archive:
        content = {Path(member.name).name: member for member in archive.getmembers()}
        about = archive.extractfile(content["main.plist"])
        numbers = archive.extractfile(content["matrix.dat"])
        if about is None or numbers is None:
            raise KeyError("main.plist or matrix.dat")
        project = plistlib.load(about)
        values = np.frombuffer(numbers.read(), np.dtype(project["matrix"]["dtype"]))
    x, y, z = (float(step) for step in project["spacing"])
    return values.reshape(project["matrix"]["shape"]).astype(np.float64), (z, y, x)


def slices_of(name: str, volume: Volume) -> Iterator[tuple[str, Gray]]:
    """Yield slices in three directions through the middle third, enlarged to 320 pixels."""
    for axis in range(3):
        length = volume.shape[axis]
        for place in np.linspace(0.3, 0.7, 7 if length > 30 else 2):
            cut = np.take(volume, int(place * length), axis=axis)
            if min(cut.shape) < 40:
                continue
            grey = to_bytes(np.rot90(cut))
            factor = _SIDE / max(grey.shape)
            grey = np.asarray(cv2.resize(grey, None, fx=factor, fy=factor), np.uint8)
            yield f"{name}-{axis}-{int(place * 100)}", grey


def cuts_of(name: str, hounsfield: Volume, spacing: tuple[float, float, float]) -> Iterator[
    tuple[str, Gray]
]:  # fmt: skip
    """Yield slices of a CT in three directions, in a window for brain and one for bone."""
    for window, (low, high) in {"brain": (-20.0, 100.0), "bone": (-300.0, 1500.0)}.items():
        for axis in range(3):
            tall, wide = (spacing[k] for k in range(3) if k != axis)
            for place in (0.35, 0.5, 0.65):
                cut = np.take(hounsfield, int(place * hounsfield.shape[axis]), axis=axis)
                tone = np.clip((cut - low) / (high - low), 0.0, 1.0)
                grey = _upright(np.rint(tone * 255), tall / wide, turned=axis != 0)
                yield f"{name}-{window}-{axis}-{int(place * 100)}", grey


def projections_of(
    name: str, hounsfield: Volume, spacing: tuple[float, float, float]
) -> Iterator[tuple[str, Gray]]:
    """Yield radiographs of the volume from several sides: the exponential law along each ray."""
    weakening = np.maximum(hounsfield + 1000.0, 0.0) / 1000.0 * _WATER * spacing[1]
    height, width = hounsfield.shape[1:]
    for angle in _VIEWS:
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(angle), 1.0)
        rays = [cv2.warpAffine(layer, turn, (width, height)).sum(axis=0) for layer in weakening]
        tone = 1.0 - np.exp(-0.5 * np.stack(rays))
        soft = cv2.GaussianBlur(tone, (0, 0), 6.0)
        tone = tone + 1.5 * (tone - soft)  # edges are raised, as machines do
        low, high = np.percentile(tone, (1.0, 99.8))
        tone = np.clip((tone - low) / (high - low), 0.0, 1.0) ** 1.4
        yield f"{name}-{angle}", _upright(tone * 255, spacing[0] / spacing[2], turned=True)


def _upright(tone: npt.NDArray[np.floating], ratio: float, *, turned: bool) -> Gray:
    """Return square pixels, 320 on the longer side, the top of the head above."""
    tone = tone[::-1] if turned else tone
    height = tone.shape[0] * ratio
    factor = _SIDE / max(height, tone.shape[1])
    size = (round(tone.shape[1] * factor), round(height * factor))
    large = cv2.resize(tone.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.rint(np.clip(large, 0.0, 255.0)).astype(np.uint8)


def to_bytes(values: npt.NDArray[np.generic]) -> Gray:
    """Stretch any numbers to 8 bits, leaving out the extremes."""
    numbers = values.astype(np.float64)
    low, high = np.percentile(numbers, (1.0, 99.7))
    return np.rint(np.clip((numbers - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
