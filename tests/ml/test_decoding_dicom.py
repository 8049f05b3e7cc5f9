"""DICOM: transfer syntaxes, polarity, windows, frames, colour, attributes."""

import struct

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ml.contracts import UnreadableImageError
from ml.data.synthetic import to_dicom
from ml.decoding import decode_image
from tests.support.hostile_files import (
    compressed,
    dataset_of,
    first_stream,
    jpeg_baseline,
    native,
    radiograph,
    saved,
    with_stream,
)


def frame_of(data: bytes) -> np.ndarray:
    return decode_image(data).frames[0]


def changed(data: bytes, **values: object) -> bytes:
    dataset = dataset_of(data)
    for keyword, value in values.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    if "PixelPaddingValue" in dataset:
        dataset["PixelPaddingValue"].VR = "US"
    return saved(dataset)


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize(
    "uid",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda u: u.name,
)
def test_uncompressed_transfer_syntaxes_show_the_same(uid, bits):
    pixels = radiograph(bits=bits)
    assert np.array_equal(frame_of(native(pixels, uid)), frame_of(to_dicom(pixels)))


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize(
    "uid", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda u: u.name
)
def test_lossless_transfer_syntaxes_show_the_same(uid, bits):
    pixels = radiograph(bits=bits)
    decoded = decode_image(compressed(pixels, uid))
    assert np.array_equal(decoded.frames[0], frame_of(to_dicom(pixels)))
    assert (decoded.transfer_syntax_uid, decoded.bits) == (uid, bits)


@pytest.mark.parametrize("uid", [JPEGLSNearLossless, JPEG2000], ids=lambda u: u.name)
def test_lossy_transfer_syntaxes_show_nearly_the_same(uid):
    pixels = radiograph()
    difference = frame_of(compressed(pixels, uid)).astype(int) - frame_of(to_dicom(pixels))
    assert np.abs(difference).max() <= 6


def test_jpeg_baseline_shows_nearly_the_same():
    pixels = radiograph()
    difference = frame_of(jpeg_baseline(pixels)).astype(int) - frame_of(to_dicom(pixels))
    assert np.abs(difference).mean() < 2


def test_jpeg_lossless_shows_the_same(tmp_path):
    gdcm = pytest.importorskip("gdcm")
    pixels = radiograph(bits=12)
    source, target = tmp_path / "a.dcm", tmp_path / "b.dcm"
    source.write_bytes(to_dicom(pixels))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    decoded = decode_image(target.read_bytes())
    assert decoded.transfer_syntax_uid == "1.2.840.10008.1.2.4.70"
    assert np.array_equal(decoded.frames[0], frame_of(to_dicom(pixels)))


def test_monochrome1_is_inverted():
    pixels = radiograph(bits=12)
    inverted = to_dicom(pixels, photometric="MONOCHROME1")
    assert dataset_of(inverted).pixel_array.mean() > 2048
    difference = frame_of(inverted).astype(int) - frame_of(to_dicom(pixels))
    assert np.abs(difference).max() <= 17  # one step of 12 bits


def test_padding_stays_black_in_monochrome1():
    pixels = radiograph(bits=12)
    pixels[:, :20] = 4095  # stored as 0 when inverted
    data = changed(to_dicom(pixels, photometric="MONOCHROME1"), PixelPaddingValue=0)
    frame = frame_of(data)
    assert frame[:, :20].max() == 0
    assert frame[:, 20:].max() > 0


def test_without_a_window_the_whole_range_of_values_is_used():
    data = changed(to_dicom(radiograph(bits=12)), WindowCenter=None, WindowWidth=None)
    frame = frame_of(data)
    assert (frame.dtype, frame.min(), frame.max()) == (np.uint16, 0, 65535)


def test_window_clips_and_stretches():
    pixels = np.tile(np.arange(1024, dtype=np.uint16), (64, 1))
    frame = frame_of(changed(to_dicom(pixels), WindowCenter=512, WindowWidth=256))
    assert frame[0, 380] == 0
    assert frame[0, 644] == 65535
    assert abs(int(frame[0, 512]) - 32768) < 300


def test_window_that_is_off_the_data_is_ignored_and_named():
    decoded = decode_image(
        changed(to_dicom(radiograph(bits=12)), WindowCenter=30000, WindowWidth=10)
    )
    assert decoded.warnings == ("window_ignored",)
    assert decoded.frames[0].max() == 65535


def test_rescale_comes_before_the_window():
    pixels = np.tile(np.arange(1024, dtype=np.uint16), (64, 1))
    moved = changed(
        to_dicom(pixels), RescaleIntercept=-1000, RescaleSlope=2, WindowCenter=24, WindowWidth=512
    )
    plain = changed(to_dicom(pixels), WindowCenter=512, WindowWidth=256)
    assert np.abs(frame_of(moved).astype(int) - frame_of(plain)).max() <= 300


def test_voi_table_is_applied():
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 12]
    table.add_new("LUTData", "OW", np.arange(4095, -1, -1, dtype="<u2").tobytes())
    dataset = dataset_of(to_dicom(radiograph(bits=12)))
    dataset.VOILUTSequence = Sequence([table])
    shown, plain = frame_of(saved(dataset)), frame_of(to_dicom(radiograph(bits=12)))
    assert np.abs(shown.astype(int) + plain - 65535).max() <= 17


def test_overlay_bits_above_the_stored_ones_are_dropped():
    pixels = radiograph(bits=12)
    dataset = dataset_of(to_dicom(pixels))
    dataset.PixelData = (pixels | 0x8000).astype("<u2").tobytes()
    assert np.array_equal(frame_of(saved(dataset)), frame_of(to_dicom(pixels)))


def test_signed_values_keep_their_order():
    values = np.tile(np.arange(-500, 500, dtype=np.int16), (64, 1))
    dataset = dataset_of(to_dicom(np.zeros((64, 1000), dtype=np.uint16)))
    dataset.PixelRepresentation, dataset.PixelData = 1, values.tobytes()
    dataset.BitsStored, dataset.HighBit = 16, 15
    del dataset.WindowCenter, dataset.WindowWidth
    frame = frame_of(saved(dataset))
    assert (np.diff(frame[0].astype(int)) > 0).all()


def multiframe(count: int) -> bytes:
    dataset = dataset_of(to_dicom(radiograph()))
    dataset.NumberOfFrames = count
    dataset.PixelData = b"".join(radiograph(seed=i).tobytes() for i in range(count))
    dataset.Modality = "CT"
    return saved(dataset)


def test_frames_are_given_one_by_one_and_in_order():
    decoded = decode_image(multiframe(4))
    assert (decoded.frame_count, len(decoded.frames), decoded.modality) == (4, 4, "CT")
    for index, frame in enumerate(decoded.frames):
        assert np.array_equal(frame, radiograph(seed=index))
    assert np.array_equal(decoded.frames[-1], decoded.frames[3])
    with pytest.raises(IndexError):
        decoded.frames[4]


def test_compressed_frames_are_found():
    data = compressed(radiograph(), JPEGLSLossless)
    decoded = decode_image(with_stream(data, first_stream(data), frames=3))
    assert np.array_equal(decoded.frames[2], decoded.frames[0])


def test_fewer_frames_than_promised_is_damaged():
    data = compressed(radiograph(), JPEGLSLossless)
    with pytest.raises(UnreadableImageError) as caught:
        decode_image(changed(data, NumberOfFrames=3))
    assert caught.value.code == "damaged"


def test_colour_is_told_and_shown_as_brightness():
    pixels = radiograph()
    dataset = dataset_of(to_dicom(pixels))
    rgb = np.dstack([pixels, pixels // 2, pixels // 4])
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation, dataset.PixelData = "RGB", rgb.tobytes()
    decoded = decode_image(saved(dataset))
    assert decoded.was_color
    assert decoded.frames[0].shape == pixels.shape


def test_attributes_are_read_and_cleaned():
    data = to_dicom(
        radiograph(),
        attributes={
            "ViewPosition": "AP",
            "ImageLaterality": "L",
            "BodyPartExamined": "forearm",
            "StudyInstanceUID": "1.2.3",
            "ImagerPixelSpacing": [0.2, 0.1],
        },
    )
    decoded = decode_image(data)
    assert (decoded.view_position, decoded.laterality) == ("AP", "L")
    assert (decoded.body_part_examined, decoded.modality) == ("FOREARM", "DX")
    assert decoded.study_instance_uid == "1.2.3"
    assert (decoded.pixel_spacing, decoded.pixel_spacing_origin) == ((0.2, 0.1), "imager")


@pytest.mark.parametrize("value", ["<script>", "a;b", "x\x00y"])
def test_attributes_that_are_no_codes_are_dropped(value):
    dataset = dataset_of(to_dicom(radiograph()))
    raw = saved(dataset).replace(b"EXTREMITY ", value.encode()[:10].ljust(10, b"<"))
    assert decode_image(raw).body_part_examined == ""


def test_calibrated_spacing_holds_in_the_patient():
    data = to_dicom(
        radiograph(), attributes={"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.14, 0.14]}
    )
    decoded = decode_image(data)
    assert (decoded.pixel_spacing, decoded.pixel_spacing_origin) == ((0.1, 0.1), "patient")


def test_file_without_preamble_and_bare_data_set_are_recognised():
    whole = to_dicom(radiograph())
    expected = frame_of(whole)
    assert np.array_equal(frame_of(whole[132:]), expected)
    group_length = struct.unpack_from("<I", whole, 140)[0]
    assert np.array_equal(frame_of(whole[144 + group_length :]), expected)


def test_raw_detector_data_is_named():
    data = changed(to_dicom(radiograph()), PresentationIntentType="FOR PROCESSING")
    assert decode_image(data).warnings == ("for_processing",)


def test_cut_pixel_data_is_damaged_and_a_report_has_no_pixels():
    data = to_dicom(radiograph())
    for broken, code in (
        (data[:-500], "damaged"),
        (changed(data, PixelData=None), "no_pixel_data"),
    ):
        with pytest.raises(UnreadableImageError) as caught:
            decode_image(broken)
        assert caught.value.code == code
