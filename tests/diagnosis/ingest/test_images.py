"""What comes out of the limited process: copies, renditions, attributes, codes."""

import hashlib
import io
import struct

import numpy as np
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image
from pydicom.uid import JPEGLSLossless, RLELossless

from diagnosis.ingest.images import IngestLimits, ingest_image, limits_from_settings
from diagnosis.ingest.messages import REFUSALS, WARNINGS
from diagnosis.ingest.results import INGEST_CODES
from fracture_site.common.errors import DomainError, RefusedInputError, TooLargeError
from ml.data.synthetic import synthetic_radiograph, to_dicom, to_jpeg, to_png
from ml.decoding import WARNING_CODES, decode_image
from tests.support.hostile_files import (
    BOMBS,
    GOOD_KINDS,
    compressed,
    dataset_of,
    first_stream,
    good_files,
    identified,
    polyglot,
    radiograph,
    saved,
    with_stream,
)

LIMITS = IngestLimits()
CANARY = "Zanzibar"


def refusal(data: bytes, limits: IngestLimits = LIMITS) -> str:
    with pytest.raises(DomainError) as caught:
        ingest_image(data, limits)
    return caught.value.code


def picture(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_limits_come_from_the_settings():
    limits = limits_from_settings()
    assert limits.max_bytes == settings.INGEST_MAX_BYTES
    assert limits.memory_bytes == settings.INGEST_MEMORY_BYTES


@pytest.mark.parametrize("kind", GOOD_KINDS)
def test_served_copy_shows_exactly_what_the_original_shows(kind):
    data = good_files()[kind]
    image = ingest_image(data, LIMITS)
    original, served = decode_image(data), decode_image(image.served)
    assert np.array_equal(original.frames[0], served.frames[0])
    assert (image.width, image.height, image.bits) == (160, 128, original.bits)
    assert image.original_sha256 == hashlib.sha256(data).hexdigest()
    assert image.original_size == len(data)
    assert image.served_sha256 == hashlib.sha256(image.served).hexdigest()
    assert image.served_content_type == (
        "application/dicom" if image.format == "dicom" else "image/png"
    )
    assert (image.dicom is None) == (image.format != "dicom")


def test_bytes_path_and_open_file_give_the_same(tmp_path):
    data = good_files()["png"]
    path = tmp_path / "upload"
    path.write_bytes(data)
    with path.open("rb") as stream:
        stream.read(10)
        assert ingest_image(stream, LIMITS) == ingest_image(path, LIMITS)
    assert ingest_image(path, LIMITS) == ingest_image(data, LIMITS)


def test_uploads_in_memory_and_half_written_files_are_read_whole(tmp_path):
    data = good_files()["png"]
    expected = ingest_image(data, LIMITS)
    upload = SimpleUploadedFile("x.png", data)
    upload.read(5)
    assert ingest_image(upload, LIMITS) == expected
    with (tmp_path / "upload").open("w+b") as stream:
        stream.write(data)
        assert ingest_image(stream, LIMITS) == expected


def test_renditions_are_small_jpegs_without_metadata():
    data = to_dicom(synthetic_radiograph(1, region="leg", size=(1500, 2000), bits=12).pixels)
    image = ingest_image(data, LIMITS)
    (rendition,) = image.renditions
    assert (rendition.width, rendition.height) == (1200, 1600)
    assert picture(rendition.data).shape == (1600, 1200)
    assert max(picture(image.thumbnail.data).shape) == 256
    assert picture(rendition.data).dtype == np.uint8
    assert picture(rendition.data).max() > 200
    for made in (rendition, image.thumbnail):
        assert set(Image.open(io.BytesIO(made.data)).info) <= {
            "jfif", "jfif_version", "jfif_unit", "jfif_density",
        }  # fmt: skip


def test_small_pictures_are_not_enlarged():
    image = ingest_image(good_files()["png"], LIMITS)
    assert (image.renditions[0].width, image.renditions[0].height) == (160, 128)


def test_dicom_copy_is_without_identity_and_the_attributes_keep_the_link():
    data = identified(radiograph(bits=12), CANARY)
    source = dataset_of(data)
    image = ingest_image(data, LIMITS)
    assert CANARY.encode() in data
    assert CANARY.encode() not in image.served
    copy = dataset_of(image.served)
    assert image.dicom is not None
    for keyword, kept in (
        ("SOPInstanceUID", image.dicom.sop_instance_uid),
        ("StudyInstanceUID", image.dicom.study_instance_uid),
        ("SeriesInstanceUID", image.dicom.series_instance_uid),
    ):
        assert kept == source[keyword].value
        assert copy[keyword].value != kept
        assert str(source[keyword].value).encode() not in image.served
    assert copy.PatientIdentityRemoved == "YES"
    assert copy.file_meta.MediaStorageSOPInstanceUID == copy.SOPInstanceUID
    assert not [e for e in copy.iterall() if e.tag.is_private]
    assert np.array_equal(decode_image(image.served).frames[0], decode_image(data).frames[0])


def test_every_copy_has_identifiers_of_its_own():
    data = good_files()["dicom"]
    first, second = (dataset_of(ingest_image(data, LIMITS).served) for _ in range(2))
    assert first.SOPInstanceUID != second.SOPInstanceUID


@pytest.mark.parametrize(
    "start", [b"MZ\x90\x00", b"II*\x00", b"%PDF-1.4", b"<html>", b"PK\x03\x04"]
)
def test_two_faced_dicom_is_served_with_a_zero_preamble_and_nothing_behind(start):
    clean = to_dicom(radiograph(bits=12))
    image = ingest_image(polyglot(start, clean), LIMITS)
    assert image.served[:132] == b"\x00" * 128 + b"DICM"
    assert b"trailing archive" not in image.served
    pixels = dataset_of(image.served).PixelData
    assert image.served.endswith(pixels)
    assert len(pixels) == 160 * 128 * 2


def test_bytes_hidden_in_a_compressed_frame_do_not_survive():
    data = compressed(radiograph(), JPEGLSLossless)
    hidden = first_stream(data) + b"hidden behind the end"
    image = ingest_image(with_stream(data, hidden), LIMITS)
    assert b"hidden" not in image.served


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_bytes_behind_and_inside_a_picture_do_not_survive(kind):
    buffer = io.BytesIO()
    options = {"comment": b"hidden note"} if kind == "jpeg" else {}
    exif = Image.Exif()
    exif[270] = "hidden description"
    Image.fromarray(radiograph()).save(buffer, kind.upper(), exif=exif, **options)
    image = ingest_image(buffer.getvalue() + b"PK\x03\x04hidden archive", LIMITS)
    assert b"hidden" in buffer.getvalue()
    assert b"hidden" not in image.served + image.renditions[0].data + image.thumbnail.data


def test_padding_windows_and_polarity_survive_in_the_copy():
    dataset = dataset_of(to_dicom(radiograph(bits=12), photometric="MONOCHROME1"))
    dataset.add_new("PixelPaddingValue", "US", 4095)
    dataset.WindowCenter, dataset.WindowWidth = [1500, 900], [3000, 400]
    image = ingest_image(saved(dataset), LIMITS)
    copy = dataset_of(image.served)
    assert copy.PhotometricInterpretation == "MONOCHROME1"
    assert list(copy.WindowCenter) == [1500, 900]
    assert copy.PixelPaddingValue == 4095
    assert np.array_equal(
        decode_image(image.served).frames[0], decode_image(saved(dataset)).frames[0]
    )


def test_frames_of_a_series_are_all_rendered_and_kept():
    dataset = dataset_of(to_dicom(radiograph()))
    dataset.NumberOfFrames, dataset.Modality = 5, "CT"
    dataset.PixelData = b"".join(radiograph(seed=i).tobytes() for i in range(5))
    image = ingest_image(saved(dataset), LIMITS)
    assert (image.modality, image.frame_count, len(image.renditions)) == ("CT", 5, 5)
    assert [r.frame for r in image.renditions] == list(range(5))
    assert decode_image(image.served).frame_count == 5
    assert refusal(saved(dataset), IngestLimits(max_frames=4)) == "too_many_frames"


def test_pages_of_a_tiff_stay_lossless():
    pages = [Image.fromarray(radiograph(bits=12, seed=i)) for i in range(3)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    image = ingest_image(buffer.getvalue(), LIMITS)
    assert (image.served_content_type, image.frame_count) == ("image/tiff", 3)
    assert np.array_equal(decode_image(image.served).frames[2], np.asarray(pages[2]))


def test_cut_jpeg_keeps_its_warning():
    data = to_jpeg(synthetic_radiograph(1, region="leg").pixels)
    assert ingest_image(data[: int(len(data) * 0.8)], LIMITS).warnings == ("truncated_file",)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_with_their_code(name):
    build, code = BOMBS[name]
    assert refusal(build()) == code


@pytest.mark.parametrize(
    ("data", "limits", "code", "kind"),
    [
        (b"", LIMITS, "empty_file", RefusedInputError),
        (b"%PDF-1.7", LIMITS, "pdf", RefusedInputError),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", LIMITS, "svg_or_html", RefusedInputError),
        (b"PK\x03\x04" + b"x" * 100, LIMITS, "archive", RefusedInputError),
        (b"GIF89a" + b"x" * 100, LIMITS, "unsupported_kind", RefusedInputError),
        (b"hello", LIMITS, "not_an_image", RefusedInputError),
        (b"x" * 200, IngestLimits(max_bytes=100), "too_large", TooLargeError),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals_carry_a_code_and_a_sentence_that_helps(data, limits, code, kind):
    with pytest.raises(kind) as caught:
        ingest_image(data, limits)
    assert caught.value.code == code
    assert str(caught.value.detail).endswith(".")


def test_limits_on_size_are_those_given():
    data = to_png(radiograph())
    assert refusal(data, IngestLimits(max_pixels=160 * 128 - 1)) == "too_many_pixels"
    assert refusal(data, IngestLimits(min_side=129)) == "too_small"


def test_all_frames_together_may_not_be_too_large():
    data = compressed(np.zeros((2000, 2000), dtype=np.uint8), RLELossless)
    many = with_stream(data, first_stream(data), frames=100)
    assert refusal(many) == "too_many_pixels"


def test_every_code_has_its_sentence():
    assert set(REFUSALS) == INGEST_CODES
    assert set(WARNINGS) == WARNING_CODES
    for sentence in (*REFUSALS.values(), *WARNINGS.values()):
        assert "!" not in str(sentence)


def test_pixel_data_of_odd_length_is_padded():
    pixels = radiograph(size=(101, 97))
    image = ingest_image(to_dicom(pixels), LIMITS)
    length = struct.unpack_from("<I", image.served, image.served.index(b"\xe0\x7f\x10\x00") + 8)[0]
    assert length == 101 * 97 + 1
    assert len(image.served) % 2 == 0
