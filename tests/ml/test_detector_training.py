"""The detector's training tools with TensorFlow: overrides, shares, going on, ablation."""

import csv
import json
import shutil
from collections import Counter

import pytest

from ml import ablation, train, training_detector
from ml.data.fracatlas import read_samples
from ml.scoring import Score
from tests.ml.classification_data import write_data

TINY = ["model.input_size = 64", "data.batch_size = 4", "data.positives = 2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("detector") / "data")


def train_command(data, out, *more):
    settings = [part for line in TINY for part in ("--set", line)]
    return [
        *("--data", str(data), "--split", str(data / "split.csv"), "--out", str(out)),
        *("--cache", str(out.parent / "cache"), "--minutes", "5", "--round-steps", "2"),
        *settings,
        *more,
    ]


def test_settings_replace_single_values_and_leave_the_file_alone():
    config = {"loss": {"map": 0.25, "image": 1.0}}
    assert train.overridden(config, ["loss.map = 0.0"])["loss"] == {"map": 0.0, "image": 1.0}
    assert config["loss"]["map"] == 0.25


def test_a_setting_of_an_unknown_section_is_refused():
    with pytest.raises(ValueError, match="no section 'lose'"):
        train.overridden({"loss": {}}, ["lose.map = 0.0"])


def test_a_share_keeps_whole_blocks_of_both_labels(data):
    samples = read_samples(data)
    half = training_detector.share_of(samples, 0.5)
    sizes = Counter(s.block for s in half)
    assert all(sizes[block] == sum(s.block == block for s in samples) for block in sizes)
    assert 0.4 < len(half) / len(samples) < 0.6
    assert {s.fractured for s in half} == {True, False}


def test_rare_readings_count_more_and_the_mean_over_fractures_is_one(data):
    severity, _, pattern = training_detector.attribute_class_weights(read_samples(data))
    assert len(severity) == 3
    assert pattern[0] < pattern[2]


def test_training_goes_on_from_the_weights_of_an_earlier_detector(data, tmp_path):
    train.main(train_command(data, tmp_path / "first", "--steps", "2"))
    start = tmp_path / "first" / "average_last.weights.h5"
    train.main(train_command(data, tmp_path / "next", "--steps", "2", "--start-from", str(start)))
    assert (tmp_path / "next" / "average_last.weights.h5").is_file()
    lines = (tmp_path / "next" / "history.jsonl").read_text().splitlines()
    assert 0.0 <= json.loads(lines[-1])["validation"]["auroc"] <= 1.0


def test_the_ablation_trains_measures_and_does_not_train_twice(data, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f"[budget]\nsteps = 2\nminutes = 5.0\nsettings = {json.dumps(TINY)}\n"
        '[[variant]]\nname = "full"\nseeds = [1, 2]\nweights = "none"\n'
        '[[variant]]\nname = "labels only"\nweights = "none"\nsettings = ["loss.map = 0.0"]\n'
    )
    out = tmp_path / "out"
    command = [
        *("--data", str(data), "--weights", "unused", "--plan", str(plan), "--out", str(out)),
        *("--split", str(data / "split.csv"), "--cache", str(tmp_path / "cache")),
    ]
    ablation.main(command)
    rows = json.loads((out / "ablation.json").read_text())["rows"]
    assert list(rows) == ["full", "full, seed 2", "labels only", "full, 2 seeds averaged"]
    with (out / "learning_curves.csv").open() as file:
        assert {"loss_total", "validation_auroc"} <= {row["figure"] for row in csv.DictReader(file)}
    histories = [(out / f"full_{seed}" / "history.jsonl") for seed in (1, 2)]
    before = [path.stat().st_mtime_ns for path in histories]
    ablation.main(command)
    assert [path.stat().st_mtime_ns for path in histories] == before
    shutil.rmtree(out)


def test_an_ensemble_averages_the_evidence():
    members = [[Score(None, logit, 0, (), None)] for logit in (1.0, 3.0)]
    assert [s.logit for s in ablation.ensemble(members)] == [pytest.approx(2.0)]
