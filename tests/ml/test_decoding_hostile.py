"""Files that are no radiographs, and files made to hurt: always a stable code, quickly."""

import gzip
import io
import random
import resource
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from ml.contracts import UnreadableImageError
from ml.data.synthetic import to_dicom, to_png
from ml.decoding import REFUSAL_CODES, WARNING_CODES, decode_image
from tests.support.hostile_files import (
    BOMBS,
    GOOD_KINDS,
    good_files,
    mutated,
    polyglot,
    radiograph,
    rle_overflow,
)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", to_png(radiograph()))
    return buffer.getvalue()


def other(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(radiograph()).save(buffer, kind)
    return buffer.getvalue()


STRANGERS = {
    "empty": (lambda: b"", "empty_file"),
    "text": (lambda: b"fracture of the left wrist\n" * 50, "not_an_image"),
    "noise": (lambda: bytes(range(7, 256)) * 20, "not_an_image"),
    "program": (lambda: b"MZ\x90\x00" + b"\x00" * 300, "not_an_image"),
    "pdf": (lambda: b"%PDF-1.7\n" + b"x" * 300, "pdf"),
    "svg": (lambda: b'<?xml version="1.0"?><svg onload="alert(1)"/>', "svg_or_html"),
    "svg-bom": (lambda: b"\xef\xbb\xbf <svg xmlns='x'/>", "svg_or_html"),
    "html": (lambda: b"\n<!DOCTYPE html><html></html>", "svg_or_html"),
    "html-utf16": (lambda: "<html>".encode("utf-16"), "svg_or_html"),
    "zip": (zipped, "archive"),
    "gzip": (lambda: gzip.compress(b"x" * 500), "archive"),
    "gif": (lambda: other("GIF"), "unsupported_kind"),
    "bmp": (lambda: other("BMP"), "unsupported_kind"),
    "webp": (lambda: other("WEBP"), "unsupported_kind"),
    "jpeg2000": (lambda: other("JPEG2000"), "unsupported_kind"),
    "video": (lambda: b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 100, "unsupported_kind"),
    "small": (lambda: to_png(np.zeros((63, 200), dtype=np.uint8)), "too_small"),
    "png-start": (lambda: b"\x89PNG\r\n\x1a\n", "damaged"),
    "jpeg-start": (lambda: b"\xff\xd8\xff", "damaged"),
    "tiff-start": (lambda: b"II*\x00", "damaged"),
    "dicom-start": (lambda: b"\x00" * 128 + b"DICM", "damaged"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_are_refused_with_their_code(name):
    build, code = STRANGERS[name]
    with pytest.raises(UnreadableImageError) as caught:
        decode_image(build())
    assert caught.value.code == code


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_take_memory_or_time(name):
    build, code = BOMBS[name]
    data = build()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(UnreadableImageError) as caught:
        decode_image(data)
    assert caught.value.code == code
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024
    assert time.perf_counter() - start < 5


def test_run_lengths_without_end_stop_at_the_edge_of_the_picture():
    data = rle_overflow()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert decode_image(data).frames[0].shape == (128, 128)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize("start", [b"MZ", b"II*\x00", b"%PDF-1.4", b"<html>", b"PK\x03\x04"])
def test_two_faced_dicom_is_read_as_dicom_only(start):
    pixels = radiograph()
    decoded = decode_image(polyglot(start, to_dicom(pixels)))
    assert decoded.format == "dicom"
    assert np.array_equal(decoded.frames[0], decode_image(to_dicom(pixels)).frames[0])


@pytest.mark.parametrize("kind", GOOD_KINDS)
def test_mutated_files_are_read_or_refused_with_a_known_code(kind):
    data, rng = good_files()[kind], random.Random(kind)  # noqa: S311
    codes = set()
    for _ in range(60):
        start = time.perf_counter()
        try:
            decoded = decode_image(mutated(data, rng), max_pixels=4_000_000)
        except UnreadableImageError as refused:
            codes.add(refused.code)
        else:
            assert set(decoded.warnings) <= WARNING_CODES
            assert decoded.frames[0].shape == (decoded.height, decoded.width)
        assert time.perf_counter() - start < 5
    assert codes
    assert codes <= REFUSAL_CODES
