"""The classification workshop without TensorFlow: settings, weights, phases, stopping, batches."""

import json
import subprocess
import sys

import numpy as np
import pytest

import ml.train_classifier
from ml.classification import (
    TYPES,
    UNKNOWN_TYPE,
    EarlyStopping,
    Settings,
    class_weights,
    fracture_probability,
    head_sizes,
    local_imagenet_weights,
    phases,
    pick,
    type_index,
)
from ml.classification_report import Answer, by_region, figures, read_answers, write_answers
from ml.data.cache import PictureCache
from ml.data.classification import Views, prepared_pixels
from ml.data.fracatlas import read_samples
from tests.ml.classification_data import write_data

CONFIG = ml.train_classifier._HERE / "configs" / "classifier.toml"


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


def test_the_command_line_overrides_the_shipped_settings():
    settings = Settings.read(CONFIG, {"epochs": 3, "image_size": 96, "loss": None})
    assert (settings.epochs, settings.image_size, settings.loss) == (3, 96, "weighted")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 100),
        ("image_size", 32),
        ("epochs", 0),
        ("batch_size", 0),
        ("loss", "mse"),
        ("dropout", 1.0),
        ("batch_norm_momentum", 1.0),
        ("peak_rate", 0.0),
        ("patience", 0),
        ("frozen_epochs", -1),
        ("focal_gamma", -0.5),
        ("max_class_weight", 0.5),
        ("weight_decay", -1.0),
    ],
)
def test_a_setting_out_of_range_is_named(name, value):
    with pytest.raises(ValueError, match=name if name != "peak_rate" else "learning rates"):
        Settings.read(CONFIG, {name: value})


def test_unknown_and_missing_settings_are_named(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(CONFIG.read_text() + "\nepoch = 3\n")
    with pytest.raises(ValueError, match="epoch"):
        Settings.read(path)
    path.write_text("[training]\nepochs = 3\n")
    with pytest.raises(ValueError, match="lacks"):
        Settings.read(path)


def test_only_a_pretrained_backbone_is_frozen_first():
    settings = Settings.read(CONFIG, {"epochs": 5, "frozen_epochs": 2})
    pretrained = phases(settings, pretrained=True)
    assert [(p.frozen, p.first_epoch, p.epochs) for p in pretrained] == [
        (True, 0, 2),
        (False, 2, 3),
    ]
    assert [p.frozen for p in phases(settings, pretrained=False)] == [False]
    short = Settings.read(CONFIG, {"epochs": 1, "frozen_epochs": 2})
    assert [(p.frozen, p.epochs) for p in phases(short, pretrained=True)] == [(True, 1)]


def test_stopping_waits_its_patience_and_not_while_frozen():
    stopping = EarlyStopping(patience=2)
    assert stopping.update(float("nan"), counts=True)  # something is better than nothing
    assert stopping.update(0.7, counts=True)
    assert not stopping.update(0.6, counts=False)
    assert not stopping.update(float("nan"), counts=True)
    assert not stopping.is_over
    assert not stopping.update(0.7, counts=True)
    assert stopping.is_over
    assert stopping.update(0.8, counts=True)
    assert not stopping.is_over


def test_rare_classes_weigh_more_and_the_mean_stays_one():
    classes = [0] * 75 + [1] * 25 + [-1] * 50
    weights = class_weights(classes, 3, limit=10.0)
    assert weights[1] == pytest.approx(3 * weights[0])
    assert 0.75 * weights[0] + 0.25 * weights[1] == pytest.approx(1.0)
    assert weights[2] == 1.0
    capped = class_weights([0] * 999 + [1], 2, limit=5.0)
    assert capped[1] / capped[0] < 11
    assert class_weights([-1, -1], 2, limit=5.0).tolist() == [1.0, 1.0]


def test_each_head_gives_a_probability_of_a_fracture():
    assert fracture_probability("binary", {"fracture": [[0.0], [90.0]]}).tolist() == [0.5, 1.0]
    sizes = head_sizes("region")
    region = np.full((1, sizes["region"]), -50.0)
    fracture = np.full((1, sizes["fracture"]), 50.0)
    region[0, 3], fracture[0, 3] = 50.0, 0.0  # surely the elbow, broken or not
    found = fracture_probability("region", {"region": region, "fracture": fracture})
    assert found[0] == pytest.approx(0.5)
    logits = np.zeros((1, len(TYPES)))
    assert fracture_probability("type", {"type": logits})[0] == pytest.approx(5 / 6)
    with pytest.raises(ValueError, match="head must be one of"):
        head_sizes("colour")


def test_the_type_of_a_picture_is_known_or_said_to_be_unknown(data):
    found = {type_index(sample) for sample in read_samples(data) if sample.fractured}
    assert found == {UNKNOWN_TYPE, TYPES.index("transverse")}
    assert {type_index(s) for s in read_samples(data) if not s.fractured} == {0}


def test_a_limit_keeps_both_labels_and_is_repeatable(data):
    samples = read_samples(data)
    few = pick(samples, 6, seed=0)
    assert len(few) == 6
    assert {s.fractured for s in few} == {True, False}
    assert pick(samples, 6, seed=0) == few
    assert pick(samples, 0, seed=0) == samples
    assert len({s.fractured for s in pick(samples[:3] + samples[20:24], 2, seed=0)}) == 2


def test_a_batch_is_the_same_whenever_it_is_asked_for(data, tmp_path):
    samples = read_samples(data)
    cache = PictureCache(tmp_path / "cache", samples)
    views = Views(samples[:10], cache, image_size=64, batch_size=4, seed=5)
    assert views.steps == 3
    stream = views.stream(0, 0, 3)
    drawn = [next(stream) for _ in range(5)]
    assert np.array_equal(drawn[4]["pixels"], views.batch(1, 1)["pixels"])
    assert not np.array_equal(drawn[1]["pixels"], drawn[4]["pixels"])
    assert all(batch["pixels"].shape == (4, 64, 64, 1) for batch in drawn)
    later = next(views.stream(1, 1, 3))
    assert all(np.array_equal(later[name], drawn[4][name]) for name in later)
    assert prepared_pixels(samples[:2], 64).shape == (2, 64, 64, 1)


def test_local_weights_are_found_by_architecture(tmp_path):
    (tmp_path / "mobilenetv2_imagenet_224_notop.weights.h5").touch()
    assert local_imagenet_weights("mobilenetv2", tmp_path) is not None
    assert local_imagenet_weights("vgg16", tmp_path) is None
    assert local_imagenet_weights("vgg16", tmp_path / "absent") is None


def answers():
    """Return 40 answers: wrists with both labels in many blocks, one broken knee."""
    found = [
        Answer(f"{i}.jpg", "test", f"b{i // 2}", "wrist", i == 0, i % 4 < 2, 0.2 + (i % 4 < 2) / 2)
        for i in range(36)
    ]
    knees = [Answer(f"k{i}.jpg", "test", f"k{i}", "knee", i > 4, i == 0, 0.5) for i in range(4)]
    return found + knees


def test_predictions_survive_their_file(tmp_path):
    write_answers(answers(), tmp_path / "p.csv")
    assert read_answers(tmp_path / "p.csv") == answers()
    (tmp_path / "p.csv").write_text("image_id,part\n")
    with pytest.raises(ValueError, match="probability"):
        read_answers(tmp_path / "p.csv")


def test_figures_have_intervals_and_a_region_with_one_fracture_has_none():
    found = figures(answers(), draws=50)
    assert found["auroc"].low <= found["auroc"].value <= found["auroc"].high
    assert found["auroc_without_hardware"].count == 39
    regions = by_region(answers(), draws=50)
    assert "auroc" in regions["wrist"]
    assert regions["knee"] == {"pictures": 4, "fractured": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--architecture", "alexnet"], "invalid choice"),
        (["--architecture", "vgg16", "--image-size", "100"], "image_size must be a multiple"),
        (["--architecture", "vgg16", "--config", "absent.toml"], "absent.toml"),
        (["--architecture", "vgg16", "--limit", "-1"], "--limit must not be negative"),
        (["--architecture", "vgg16", "--seed", "-1"], "--seed must not be negative"),
        (["--architecture", "vgg16", "--resume"], "no run in"),
        (["--architecture", "vgg16", "--split", "absent.csv"], "absent.csv"),
    ],
)
def test_wrong_arguments_are_answered_without_tensorflow(data, tmp_path, capsys, options, message):
    given = ["--data", str(data), "--split", str(data / "split.csv"), "--out", str(tmp_path / "o")]
    with pytest.raises(SystemExit) as caught:
        ml.train_classifier.main([*given, *options])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_run_is_not_overwritten(data, tmp_path, capsys):
    (tmp_path / "state.npz").touch()
    with pytest.raises(SystemExit):
        ml.train_classifier.main(
            [
                *("--architecture", "vgg16", "--data", str(data)),
                *("--split", str(data / "split.csv"), "--out", str(tmp_path)),
            ]
        )
    assert "--resume continues it" in capsys.readouterr().err


def test_a_part_without_fractures_is_refused(data, tmp_path, capsys):
    split = tmp_path / "split.csv"
    split.write_text("image_id,part\n" + "".join(f"P{i:04d}.jpg,train\n" for i in range(64)))
    with pytest.raises(SystemExit):
        ml.train_classifier.main(
            ["--architecture", "vgg16", "--data", str(data), "--split", str(split)]
        )
    assert "validation part" in capsys.readouterr().err


def test_the_settings_load_without_tensorflow():
    code = (
        "import sys, json\n"
        "sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "import ml.compare, ml.train_classifier\n"
        "print(json.dumps(ml.compare.ARCHITECTURES))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)) == 7
