# ruff: noqa: E402, INP001 - a script
"""A 3000 x 2500 film of 16 bits in each transfer syntax: ours beside plain pydicom and Pillow.

    .venv/bin/python bench/ingest.py

``decode and prepare``: from the file to the network's input. ``take in``: decoded, sanitised and
drawn for pages in a limited process of its own, which the peer has no counterpart of.
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")

import django

django.setup()

import cv2
import numpy as np
import pydicom
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import UID

from bench.figures import QUICK, figure, interleaved, median
from diagnosis.ingest.images import ingest_image
from ml.data.synthetic import synthetic_radiograph, to_dicom
from ml.decoding import decode_image
from ml.preprocessing import prepare

PEER = "pydicom, its look-up tables, Pillow's resize"
ENCODED = {
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}


def files() -> dict[str, bytes]:
    """Return the same film in each syntax."""
    plain = to_dicom(synthetic_radiograph(1, size=(2500, 3000), bits=12).pixels)
    found = {"uncompressed": plain}
    for name, uid in ENCODED.items():
        dataset = pydicom.dcmread(io.BytesIO(plain))
        dataset.compress(UID(uid))
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        found[name] = stream.getvalue()
    if shutil.which("dcmcjpeg"):
        with tempfile.TemporaryDirectory() as folder:
            before, after = Path(folder) / "a.dcm", Path(folder) / "b.dcm"
            before.write_bytes(plain)
            subprocess.run(["dcmcjpeg", "+e1", before, after], check=True)  # noqa: S603, S607
            found["JPEG Lossless"] = after.read_bytes()
    return found


def ours(data: bytes) -> None:
    """Decode and prepare as the worker does."""
    prepare(decode_image(data).frames[0])


def peer(data: bytes) -> None:
    """Decode and prepare as a short script does."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    shown = np.asarray(values, np.float64)
    shown = (shown - shown.min()) / max(float(np.ptp(shown)), 1.0) * 255.0
    picture = Image.fromarray(shown.astype(np.uint8)).resize((384, 384))
    np.asarray(picture, np.float32)


def main() -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    rounds = 3 if QUICK else 9
    for name, data in files().items():
        ways: dict[str, Any] = {
            "ours": lambda _n, data=data: ours(data),
            "peer": lambda _n, data=data: peer(data),
            "whole": lambda _n, data=data: ingest_image(data),
        }
        taken = {way: median(times) for way, times in interleaved(ways, rounds).items()}
        figure(
            f"decode and prepare 3000 x 2500, {name}", taken["ours"], "ms", n=rounds,
            peer=taken["peer"], peer_is=PEER,
        )  # fmt: skip
        figure(f"take in 3000 x 2500, {name}", taken["whole"], "ms", n=rounds)


if __name__ == "__main__":
    main()
