"""The learned gate: limbs pass, photos of them pass with a warning, strangers have a reason."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from ml.appearance import COUNT, describe
from ml.contracts import ModelArtifactError, Verdict
from ml.data.film_photos import photograph
from ml.data.imitations import IMITATIONS
from ml.data.strangers import head, pictures, slices, trunk
from ml.data.strangers.catalogue import DRAWINGS, draw_one
from ml.data.synthetic import synthetic_radiograph
from ml.data.synthetic_anatomy import REGIONS
from ml.data.synthetic_files import to_png
from ml.decoding import decode_image
from ml.gate import CLASSES, REASON_OF, STRANGERS, Gate, Reasoning, load_gate, save_gate
from ml.outline import COUNT as OUTLINE_COUNT
from ml.outline import outline
from ml.predictor import WEIGHTS_FOLDER, FracturePredictor, load_predictor
from ml.quality import REASONS, assess
from ml.stopwatch import Stopwatch

EVERY_DRAWING = [
    pytest.param(kind, draw, id=draw.__name__) for kind, draws in DRAWINGS.items() for draw in draws
]


def reasoning_of(*, features=3, **logits):
    """Return a second classifier with fixed logits, -9 where none is given."""
    size = features + COUNT + OUTLINE_COUNT
    return Reasoning(
        mean=np.zeros(size),
        scale=np.ones(size),
        weights=np.zeros((len(STRANGERS), size)),
        bias=np.array([logits.get(kind, -9.0) for kind in STRANGERS]),
    )


def gate_that_says(kind, *, features=3, limit=0.0, photo_limit=0.0, reasoning=None):
    """Return a gate that finds every picture to be of one class."""
    bias = np.full(len(CLASSES), -5.0)
    bias[CLASSES.index(kind)] = 5.0
    size = features + COUNT
    return Gate(
        mean=np.zeros(size),
        scale=np.ones(size),
        weights=np.zeros((len(CLASSES), size)),
        bias=bias,
        limit=limit,
        photo_limit=photo_limit,
        reasoning=reasoning,
    )


def no_outline():
    return np.zeros(OUTLINE_COUNT)


def opinion_of(gate, *, has_color=False, is_stranger=False):
    return gate.judge(
        np.zeros(3), np.zeros(COUNT), no_outline, has_color=has_color, is_stranger=is_stranger
    )


@pytest.mark.parametrize(("kind", "reason"), REASON_OF.items())
def test_every_kind_of_stranger_has_a_declared_reason(kind, reason):
    assert reason in REASONS
    assert opinion_of(gate_that_says(kind)).reason == reason


def test_a_limb_passes_without_a_remark():
    opinion = opinion_of(gate_that_says("limb"))
    assert (opinion.reason, opinion.is_photo) == ("", False)


@pytest.mark.parametrize(("kind", "color"), [("film_photo", False), ("limb", True)])
def test_what_looks_photographed_or_has_colour_passes_as_a_photo(kind, color):
    opinion = opinion_of(gate_that_says(kind), has_color=color)
    assert (opinion.reason, opinion.is_photo) == ("", True)


def test_photos_have_a_limit_of_their_own():
    gate = gate_that_says("limb", limit=0.0, photo_limit=99.0)
    assert opinion_of(gate).reason == ""
    assert opinion_of(gate, has_color=True).reason != ""


@pytest.mark.parametrize(("kind", "reason"), REASON_OF.items())
def test_the_second_classifier_names_the_reason(kind, reason):
    gate = gate_that_says("picture", reasoning=reasoning_of(**{kind: 9.0}))
    assert opinion_of(gate).reason == reason


def test_classes_with_the_same_reason_are_added_up():
    divided = reasoning_of(trunk=1.0, head=1.0, slice=1.5)
    assert opinion_of(gate_that_says("slice", reasoning=divided)).reason == "wrong_body_part"


def test_what_is_stranger_from_all_training_pictures_is_refused_even_when_it_looks_like_a_limb():
    gate = gate_that_says("limb", reasoning=reasoning_of(slice=9.0))
    assert opinion_of(gate).reason == ""
    assert opinion_of(gate, is_stranger=True).reason == "cross_section"


def test_the_outline_is_only_measured_for_what_is_refused():
    def unwanted():
        raise AssertionError("a picture that passes needs no reason")

    gate = gate_that_says("limb", reasoning=reasoning_of(slice=9.0))
    opinion = gate.judge(np.zeros(3), np.zeros(COUNT), unwanted, has_color=False)
    assert opinion.reason == ""


def test_the_outline_tells_form_and_ground_whatever_the_size_and_side():
    disc = np.zeros((300, 300), np.uint8)
    cv2.ellipse(disc, (120, 150), (70, 110), 20, 0, 360, (180,), -1)
    found = outline(disc)
    assert found.shape == (OUTLINE_COUNT,)
    larger = cv2.resize(disc, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    for other in (larger, np.ascontiguousarray(disc[:, ::-1]), disc.astype(np.uint16) * 257):
        assert np.abs(outline(other) - found).max() < 0.2
    page = outline(np.asarray(draw_one("picture", pictures.text_page, np.random.default_rng(1))[0]))
    assert np.abs(page - found).max() > 0.5


def test_one_odd_number_does_not_decide_alone():
    gate = gate_that_says("limb")
    gate.weights[CLASSES.index("picture"), 0] = 1.0
    far = gate.judge(np.array([1e9, 0, 0]), np.zeros(COUNT), no_outline, has_color=False)
    assert far.reason == ""


def test_a_gate_survives_saving(tmp_path):
    for reasoning, reason in ((None, "cross_section"), (reasoning_of(head=2.0), "wrong_body_part")):
        gate = gate_that_says("slice", limit=-1.5, photo_limit=2.5, reasoning=reasoning)
        digest = save_gate(gate, tmp_path / "gate.npz")
        again = load_gate(tmp_path / "gate.npz", sha256=digest)
        assert (again.limit, again.photo_limit) == (-1.5, 2.5)
        assert opinion_of(again).reason == reason


@pytest.mark.parametrize(
    "harm", ["missing", "altered", "malformed", "other classes", "other reasons"]
)
def test_a_wrong_gate_file_is_refused(tmp_path, harm):
    path = tmp_path / "gate.npz"
    gate = gate_that_says("limb")
    if harm == "other classes":
        gate = Gate(gate.mean, gate.scale, gate.weights[:3], gate.bias[:3], 0.0, 0.0)
    if harm == "other reasons":
        second = reasoning_of()
        gate = replace(gate, reasoning=replace(second, weights=second.weights[:2]))
    digest = save_gate(gate, path)
    if harm == "missing":
        path.unlink()
    elif harm == "altered":
        path.write_bytes(path.read_bytes() + b" ")
    elif harm == "malformed":
        import hashlib

        path.write_bytes(b"not an archive")
        digest = hashlib.sha256(b"not an archive").hexdigest()
    with pytest.raises(ModelArtifactError):
        load_gate(path, sha256=digest)


@pytest.fixture(scope="module")
def shipped():
    return load_predictor()


def judged(predictor, gate, picture):
    with_gate = FracturePredictor(predictor.manifest, predictor._runtime, None, gate)
    decoded = decode_image(to_png(picture))
    return with_gate.judge(decoded, decoded.frames[0], Stopwatch())[0]


@pytest.mark.parametrize(("kind", "reason"), REASON_OF.items())
def test_a_refused_picture_has_no_probability(shipped, kind, reason):
    gate = gate_that_says(kind, features=1280)
    prediction = judged(shipped, gate, synthetic_radiograph(3).pixels)
    assert prediction.verdict is Verdict.CANNOT_ASSESS
    assert prediction.reasons == (reason,)
    assert prediction.probability is None
    assert prediction.timings_ms["quality"] > 0.0


def test_a_slice_that_the_pixels_show_to_be_no_radiograph_is_called_a_slice(shipped):
    noise = np.random.default_rng(1).integers(0, 256, (300, 300)).astype(np.uint8)
    assert assess(noise) == ("not_a_radiograph",)
    second = reasoning_of(features=1280, slice=9.0)
    gate = gate_that_says("limb", features=1280, reasoning=second)
    prediction = judged(shipped, gate, noise)
    assert prediction.reasons == ("cross_section",)


def test_a_photo_of_a_film_is_judged_with_a_warning(shipped):
    film = synthetic_radiograph(3).pixels
    gate = gate_that_says("film_photo", features=1280)
    prediction = judged(shipped, gate, film)
    assert prediction.probability is not None
    assert "photo_of_film" in prediction.warnings


def test_a_manifest_may_name_a_gate(shipped, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(WEIGHTS_FOLDER, folder)
    digest = save_gate(gate_that_says("picture", features=1280), folder / "gate.npz")
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "gate": {"file": "gate.npz", "sha256": digest}}))
    prediction = load_predictor(folder).predict(to_png(synthetic_radiograph(3).pixels))
    assert prediction.reasons == ("not_a_radiograph",)


@pytest.mark.parametrize("region", REGIONS)
def test_the_limbs_of_the_demo_pass_the_shipped_gate(shipped, region):
    predictions = [
        shipped.predict(to_png(synthetic_radiograph(seed, region=region).pixels))
        for seed in range(4)
    ]
    assert [prediction.reasons for prediction in predictions] == [()] * 4
    assert all("photo_of_film" not in prediction.warnings for prediction in predictions)


@pytest.mark.parametrize(
    ("kind", "draw"),
    [("trunk", trunk.chest), ("head", head.skull_front), ("slice", slices.ct_body)],
    ids=["chest", "skull", "CT"],
)
def test_the_shipped_gate_refuses_strangers_with_their_reason(shipped, kind, draw):
    pictures = [draw_one(kind, draw, np.random.default_rng(seed))[0] for seed in range(4)]
    reasons = [shipped.predict(to_png(picture)).reasons for picture in pictures]
    assert sum(found == (REASON_OF[kind],) for found in reasons) >= 3


@pytest.mark.parametrize(("kind", "draw"), EVERY_DRAWING)
def test_a_drawing_is_the_same_each_time_and_different_for_each_seed(kind, draw):
    pictures = [draw_one(kind, draw, np.random.default_rng(seed))[0] for seed in (7, 7, 8)]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
    assert pictures[0].dtype == np.uint8
    assert min(pictures[0].shape) >= 128
    assert pictures[0].std() > 3


@pytest.mark.parametrize("name", IMITATIONS)
def test_an_imitation_is_a_picture_of_its_own(name):
    film = np.asarray(synthetic_radiograph(5).pixels)
    copy = IMITATIONS[name](film, np.random.default_rng(1))
    assert copy.dtype == np.uint8
    assert min(copy.shape) >= 160
    assert copy.shape != film.shape or not np.array_equal(copy, film)


def test_a_photographed_film_is_coloured_and_bounded():
    photo = photograph(np.asarray(synthetic_radiograph(5).pixels), np.random.default_rng(2))
    assert photo.ndim == 3
    assert photo.dtype == np.uint8
    assert min(photo.shape[:2]) > 300


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((200, 200), np.uint8),
        np.full((64, 900), 255, np.uint8),
        np.asarray(synthetic_radiograph(1, bits=12).pixels) * np.uint16(16),
    ],
    ids=["black", "white strip", "16 bits"],
)
def test_the_description_is_finite_whatever_comes(picture):
    values = describe(picture, has_color=False)
    assert values.shape == (COUNT,)
    assert np.isfinite(values).all()


def test_the_description_hardly_depends_on_the_number_of_pixels():
    film = np.asarray(synthetic_radiograph(1, size=(800, 960)).pixels)
    half = film.reshape(480, 2, 400, 2).mean(axis=(1, 3)).astype(np.uint8)
    large, small = (describe(picture, has_color=False) for picture in (film, half))
    assert np.median(np.abs(large - small)) < 0.02
