"""The whole way from bytes to an answer, with the shipped model. Plumbing only, never accuracy."""

import cv2
import numpy as np
import pytest

from ml.contracts import Certainty, Prediction, UnreadableImageError, Verdict
from ml.data.strangers import pictures
from ml.data.synthetic import synthetic_radiograph, to_dicom, to_jpeg, to_png
from ml.predictor import FracturePredictor, load_predictor
from tests.ml.pictures import real_radiographs

STAGES = {"decode", "quality", "preprocess", "forward", "postprocess", "total"}


@pytest.fixture(scope="module")
def predictor():
    return load_predictor(threads=1)


@pytest.fixture(scope="module")
def film():
    return synthetic_radiograph(7, fractured=True)


@pytest.fixture(scope="module")
def encoded(film):
    return to_png(film.pixels)


def assert_consistent(prediction: Prediction) -> None:
    """Check what must hold for every assessed image."""
    thresholds = prediction.model.thresholds
    assert prediction.probability is not None
    expected = (
        Verdict.DEFINITE
        if prediction.probability >= thresholds.definite
        else Verdict.SUSPICION
        if prediction.probability >= thresholds.suspicion
        else Verdict.NEGATIVE
    )
    assert prediction.verdict is expected
    assert bool(prediction.findings) == (prediction.verdict is not Verdict.NEGATIVE)
    for finding in prediction.findings:
        box = finding.box
        assert box.width > 0
        assert box.height > 0
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= prediction.image_width + 1e-6
        assert box.y + box.height <= prediction.image_height + 1e-6
        assert 0 < finding.probability < 1
        if finding.certainty is Certainty.DEFINITE:
            assert prediction.verdict is Verdict.DEFINITE
    assert prediction.heatmap is not None
    assert prediction.heatmap.dtype == np.uint8
    aspect = prediction.heatmap.shape[1] / prediction.heatmap.shape[0]
    assert aspect == pytest.approx(prediction.image_width / prediction.image_height, rel=0.02)
    assert set(prediction.timings_ms) == STAGES
    assert prediction.timings_ms["total"] == pytest.approx(
        sum(value for name, value in prediction.timings_ms.items() if name != "total"), abs=0.1
    )


@pytest.mark.parametrize("kind", ["png", "jpeg", "dicom"])
@pytest.mark.parametrize("region", ["forearm", "hand", "leg"])
def test_a_synthetic_radiograph_gets_a_consistent_answer(predictor, kind, region):
    picture = synthetic_radiograph(11, region=region, fractured=True, bits=12)
    encoders = {"png": to_png, "jpeg": to_jpeg, "dicom": to_dicom}
    prediction = predictor.predict(encoders[kind](picture.pixels))
    assert_consistent(prediction)
    assert (prediction.image_width, prediction.image_height) == (373, 454)
    assert prediction.region in {"hand_arm", "leg", "hip", "shoulder"}


def test_the_same_bytes_give_the_same_answer(predictor, encoded):
    first, again = predictor.predict(encoded), load_predictor().predict(encoded)
    assert first.probability == again.probability
    assert first.findings == again.findings
    assert np.array_equal(first.heatmap, again.heatmap)


def test_a_mirrored_film_gets_the_same_probability(predictor, film):
    """Both orientations are averaged, so a mirrored film cannot change the answer."""
    mirrored = np.ascontiguousarray(film.pixels[:, ::-1])
    straight = predictor.predict(to_png(film.pixels)).probability
    assert predictor.predict(to_png(mirrored)).probability == pytest.approx(straight, abs=0.05)


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "PT"])
def test_another_modality_has_no_model(predictor, film, modality):
    prediction = predictor.predict(to_dicom(film.pixels, modality=modality))
    assert prediction.verdict is Verdict.CANNOT_ASSESS
    assert prediction.reasons == ("no_model_for_modality",)
    assert prediction.probability is None
    assert prediction.heatmap is None
    assert prediction.findings == ()


@pytest.mark.parametrize("modality", ["CR", "DX"])
def test_plain_radiography_is_assessed(predictor, film, modality):
    assert predictor.predict(to_dicom(film.pixels, modality=modality)).probability is not None


def png_of(picture):
    return cv2.imencode(".png", picture)[1].tobytes()


def colour_photo():
    leaves = pictures.dead_leaves(np.random.default_rng(4))
    return np.stack([leaves, leaves[:, ::-1], leaves[::-1]], axis=2)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.zeros((300, 300), np.uint8), "blank"),
        (colour_photo(), "not_a_radiograph"),
        (np.random.default_rng(1).integers(0, 256, (400, 400), dtype=np.uint8), "not_a_radiograph"),
    ],
    ids=["blank", "colour photo", "noise"],
)
def test_what_is_no_radiograph_cannot_be_assessed(predictor, picture, reason):
    prediction = predictor.predict(png_of(picture))
    assert prediction.verdict is Verdict.CANNOT_ASSESS
    assert reason in prediction.reasons


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", b"GIF89a", b"\x89PNG\r\n\x1a\n broken"])
def test_bytes_that_are_no_image_raise(predictor, data):
    with pytest.raises(UnreadableImageError):
        predictor.predict(data)


@pytest.mark.parametrize("frame", [-1, 1, 99])
def test_a_frame_that_does_not_exist_is_an_error(predictor, encoded, frame):
    with pytest.raises(IndexError):
        predictor.predict(encoded, frame=frame)


def test_a_cut_off_jpeg_is_assessed_with_a_warning(predictor, film):
    whole = to_jpeg(film.pixels)
    prediction = predictor.predict(whole[: int(len(whole) * 0.8)])
    assert "truncated_file" in prediction.warnings
    assert_consistent(prediction)


def test_the_answer_names_exactly_what_gave_it(predictor, encoded):
    info = predictor.predict(encoded).model
    assert info == predictor.info
    assert len(info.sha256) == 64
    assert info.calibration_id not in {"", "none"}


def test_a_film_with_a_stranger_s_features_is_refused(predictor, encoded):
    """The second gate works on the network's features, whatever the pixels look like."""

    class EverythingIsFar:
        def distance(self, _features):
            return 1e9

    strict = FracturePredictor(predictor.manifest, predictor._runtime, EverythingIsFar())
    prediction = strict.predict(encoded)
    assert prediction.reasons == ("not_a_radiograph",)
    assert prediction.probability is None


def test_a_real_radiograph_gets_a_consistent_answer(predictor):
    paths = real_radiographs(12)
    if not paths:
        pytest.skip("the real radiographs are not on this machine")
    predictions = [predictor.predict(path.read_bytes()) for path in paths]
    assessed = [p for p in predictions if p.verdict is not Verdict.CANNOT_ASSESS]
    assert len(assessed) >= 11
    for prediction in assessed:
        assert_consistent(prediction)
