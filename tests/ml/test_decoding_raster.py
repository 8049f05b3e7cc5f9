"""PNG, JPEG and TIFF: bits, orientation, colour, cut files."""

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ml.contracts import UnreadableImageError
from ml.data.synthetic import synthetic_radiograph, to_jpeg, to_png
from ml.decoding import decode_image
from tests.support.hostile_files import radiograph

FRACATLAS = Path(__file__).resolve().parents[3] / "shared" / "data" / "fracatlas"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        decode_image(data)
    return caught.value.code


def test_png_keeps_every_pixel():
    pixels = radiograph()
    decoded = decode_image(to_png(pixels))
    assert np.array_equal(decoded.frames[0], pixels)
    assert (decoded.format, decoded.bits, decoded.was_color) == ("png", 8, False)
    assert (decoded.width, decoded.height, decoded.frame_count) == (160, 128, 1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept(kind):
    pixels = (radiograph(bits=12) << 4) + 3
    decoded = decode_image(encoded(Image.fromarray(pixels), kind))
    assert decoded.frames[0].dtype == np.uint16
    assert np.array_equal(decoded.frames[0], pixels)
    assert decoded.bits == 16


def test_big_endian_tiff_keeps_sixteen_bits():
    pixels = radiograph(bits=12)
    little = encoded(Image.fromarray(pixels), "TIFF")
    big = cv2.imencode(".tiff", pixels)[1].tobytes()
    assert np.array_equal(decode_image(little).frames[0], decode_image(big).frames[0])


def test_sixteen_bit_colour_png_is_not_reduced_to_eight():
    pixels = (radiograph(bits=12) << 4) + 5
    data = cv2.imencode(".png", np.repeat(pixels[:, :, None], 3, axis=2))[1].tobytes()
    decoded = decode_image(data)
    assert np.array_equal(decoded.frames[0], pixels)
    assert not decoded.was_color


def test_white_is_zero_tiff_is_shown_bone_bright():
    pixels = radiograph(bits=12) << 4
    data = encoded(Image.fromarray(65535 - pixels), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(decode_image(data).frames[0], pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_turns_the_picture_upright(kind, orientation):
    stored = np.zeros((96, 160), dtype=np.uint8)
    stored[:20, :40] = 200  # a mark in the first corner
    exif = Image.Exif()
    exif[274] = orientation
    options = {"quality": 95} if kind == "JPEG" else {}
    decoded = decode_image(encoded(Image.fromarray(stored), kind, exif=exif, **options))
    shape = (96, 160) if orientation <= 4 else (160, 96)
    assert decoded.frames[0].shape == shape
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0)}
    corner |= {5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    bright = [c for c in ((0, 0), (0, -1), (-1, -1), (-1, 0)) if decoded.frames[0][c] > 150]
    assert bright == [corner[orientation]]


def test_orientation_of_a_sixteen_bit_colour_png_is_applied():
    stored = np.zeros((96, 160, 3), dtype=np.uint16)
    stored[:20, :40] = 60000
    exif = Image.Exif()
    exif[274] = 6
    plain = cv2.imencode(".png", stored)[1].tobytes()
    carrier = encoded(Image.new("L", (8, 8)), "PNG", exif=exif)
    at = carrier.index(b"eXIf") - 4
    length = int.from_bytes(carrier[at : at + 4]) + 12
    data = plain[:33] + carrier[at : at + length] + plain[33:]
    frame = decode_image(data).frames[0]
    assert frame.shape == (160, 96)
    assert frame[0, -1] == 60000
    assert frame[0, 0] == 0


def test_grey_stored_as_rgb_is_not_colour_and_a_photo_is():
    pixels = radiograph()
    grey = Image.fromarray(np.repeat(pixels[:, :, None], 3, axis=2))
    photo = Image.fromarray(np.dstack([pixels, pixels // 2, pixels // 3]))
    assert not decode_image(encoded(grey, "JPEG")).was_color
    assert np.array_equal(decode_image(encoded(grey, "PNG")).frames[0], pixels)
    assert decode_image(encoded(photo, "PNG")).was_color


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("P", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"),
     ("YCbCr", "TIFF"), ("F", "TIFF"), ("I", "TIFF")],
)  # fmt: skip
def test_other_pixel_kinds_show_the_same_picture(mode, kind):
    pixels = synthetic_radiograph(2, region="leg").pixels
    frame = decode_image(encoded(Image.fromarray(pixels).convert(mode), kind)).frames[0]
    assert frame.shape == pixels.shape
    assert np.corrcoef(frame.ravel().astype(float), pixels.ravel().astype(float))[0, 1] > 0.99


def test_one_bit_pictures_become_black_and_white():
    mask = Image.fromarray(radiograph() > 100)
    assert set(np.unique(decode_image(encoded(mask, "PNG")).frames[0])) == {0, 255}


def test_transparent_parts_are_black_and_named():
    image = Image.new("RGBA", (100, 80), (255, 255, 255, 0))
    decoded = decode_image(encoded(image, "PNG"))
    assert decoded.frames[0].max() == 0
    assert decoded.warnings == ("transparency_flattened",)


def test_tiff_pages_are_frames_and_previews_are_left_out():
    pages = [Image.fromarray(radiograph(seed=seed)) for seed in (1, 2, 3)]
    pages.append(Image.new("L", (80, 64)))
    decoded = decode_image(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert decoded.frame_count == len(decoded.frames) == 3
    assert np.array_equal(decoded.frames[2], np.asarray(pages[2]))
    assert decoded.warnings == ("pages_skipped",)


def test_animated_png_gives_its_first_picture():
    first, second = Image.fromarray(radiograph()), Image.fromarray(radiograph(seed=2))
    decoded = decode_image(encoded(first, "PNG", save_all=True, append_images=[second]))
    assert np.array_equal(decoded.frames[0], np.asarray(first))
    assert decoded.warnings == ("animation_first_frame",)


def test_slightly_cut_jpeg_is_accepted_with_a_warning_and_the_missing_part_is_black():
    data = to_jpeg(synthetic_radiograph(1, region="leg").pixels)
    decoded = decode_image(data[: int(len(data) * 0.8)])
    assert decoded.warnings == ("truncated_file",)
    whole = decode_image(data).frames[0]
    top = whole.shape[0] // 2
    assert np.array_equal(decoded.frames[0][:top], whole[:top])
    assert decoded.frames[0][-16:].max() == 0


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.25])
def test_jpeg_of_which_most_is_missing_is_damaged(share):
    data = to_jpeg(synthetic_radiograph(1, region="leg").pixels)
    assert refusal(data[: max(4, int(len(data) * share))]) == "damaged"


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_cut_png_and_tiff_are_damaged(share):
    pixels = radiograph()
    for data in (to_png(pixels), encoded(Image.fromarray(pixels), "TIFF")):
        assert refusal(data[: int(len(data) * share)]) == "damaged"


@pytest.mark.skipif(not FRACATLAS.is_dir(), reason="needs the real radiographs")
def test_every_cut_real_radiograph_is_accepted_with_a_warning():
    with (FRACATLAS / "manifest.csv").open() as stream:
        cut = [row["image_id"] for row in csv.DictReader(stream) if row["truncated"] == "1"]
    assert len(cut) == 54
    for name in cut:
        decoded = decode_image((FRACATLAS / "images" / name).read_bytes())
        assert decoded.warnings == ("truncated_file",), name
        frame = decoded.frames[0]
        slab = (np.abs(frame.astype(int) - 128) <= 1).reshape(-1)
        assert slab.mean() < 0.05, name
