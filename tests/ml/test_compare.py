"""``python -m ml.compare`` with the training replaced: what is run, and what the table says."""

import json
from pathlib import Path

import pytest

from ml.classification import ARCHITECTURES, EXIT_WEIGHTS_UNAVAILABLE
from ml.classification_report import Answer, write_answers
from ml.compare import DETECTOR, detector_options, main


class Training:
    """Stands for the training processes: writes what one leaves, or fails as told."""

    def __init__(self, exit_codes=None, separation=None):
        self.calls = []
        self.exit_codes = exit_codes or {}
        self.separation = separation or {}

    def __call__(self, options):
        given = dict(zip(options[::2], options[1::2], strict=False))
        self.calls.append(list(options))
        name, weights = given["--architecture"], given["--weights"]
        code = self.exit_codes.get((name, weights), 0)
        if code == 0:
            self._leave(given["--out"], name, self.separation.get(name, 0.5))
        return code

    def _leave(self, out, name, separation):
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state.npz").touch()
        answers = [
            Answer(f"{i}", part, f"b{i}", "wrist", i == 0, i % 2 == 0, i / 90 + (i % 2 == 0) * gap)
            for part, gap in (("test", separation), ("validation", 1.0))
            for i in range(30)
        ]
        write_answers(answers, folder / "predictions.csv")
        result = {
            "head": "binary",
            "parameters": 2_500_000,
            "epochs_run": 3,
            "seconds": 90.0,
            "seed": 1,
            "steps_per_epoch": 4,
            "split": "abc",
            "dry_run": False,
            "pictures": {"train": 90, "validation": 30, "test": 30},
            "settings": {"image_size": 96, "epochs": 3, "batch_size": 8},
        }
        (folder / "result.json").write_text(json.dumps(result))


def test_the_best_on_the_test_part_comes_first_with_its_interval(tmp_path):
    training = Training(separation={"vgg16": 0.1, "resnet50": 0.9})
    options = ["--architectures", "vgg16", "resnet50", "--out", str(tmp_path), "--draws", "50"]
    main([*options, "--data", "somewhere", "--epochs", "3"], training)
    values = json.loads((tmp_path / "comparison.json").read_text())
    first, second = values["rows"]
    assert (first["architecture"], second["architecture"]) == ("resnet50", "vgg16")
    assert first["auroc"]["value"] == 1.0
    assert second["auroc"]["n"] == 30  # the test part alone
    low, high = second["auroc"]["ci95"]
    assert low <= second["auroc"]["value"] <= high
    table = (tmp_path / "comparison.md").read_text()
    assert "| resnet50 | none | 2.5 M | 3 | 1.5 | 1.000 (" in table
    assert "at most 3 epochs of 4 batches of 8" in table
    assert all(call[-4:] == ["--data", "somewhere", "--epochs", "3"] for call in training.calls)


def test_all_are_compared_by_default_and_a_second_run_resumes(tmp_path):
    training = Training()
    main(["--out", str(tmp_path), "--draws", "5"], training)
    assert [call[1] for call in training.calls] == [*ARCHITECTURES, DETECTOR]
    assert not any("--resume" in call for call in training.calls)
    main(["--out", str(tmp_path), "--draws", "5"], training)
    assert all("--resume" in call for call in training.calls[8:])


def test_the_detector_gets_the_same_budget_in_its_own_words():
    given = ["--head", "binary", "--data", "D", "--epochs", "3", "--steps-per-epoch", "60"]
    own = detector_options([*given, "--image-size", "128"])
    assert own[:4] == ["--data", "D", "--image-size", "128"]
    assert own[own.index("--steps") + 1] == "180"
    assert "--answers" in own
    assert "--head" not in own

    whole = detector_options(["--epochs", "3"])
    assert whole[whole.index("--epochs") + 1] == "3"
    assert "--dry-run" in detector_options(["--dry-run"])


def test_where_no_imagenet_weights_can_be_had_the_table_says_none(tmp_path):
    training = Training({("vgg16", "imagenet"): EXIT_WEIGHTS_UNAVAILABLE})
    options = ["--architectures", "vgg16", "mobilenetv2", "--out", str(tmp_path), "--draws", "5"]
    main([*options, "--weights", "available"], training)
    rows = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert {row["architecture"]: row["weights"] for row in rows} == {
        "vgg16": "none",
        "mobilenetv2": "imagenet",
    }


def test_a_failed_training_is_a_row_and_an_exit_code(tmp_path):
    training = Training({("vgg16", "imagenet"): EXIT_WEIGHTS_UNAVAILABLE})
    options = ["--architectures", "vgg16", "mobilenetv2", "--out", str(tmp_path), "--draws", "5"]
    with pytest.raises(SystemExit) as caught:
        main([*options, "--weights", "imagenet"], training)
    assert caught.value.code == 1
    rows = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert rows[1] == {
        "architecture": "vgg16",
        "weights": "imagenet",
        "failure": "weights unavailable",
    }
    assert "weights unavailable" in (tmp_path / "comparison.md").read_text()


def test_nothing_trained_is_said_plainly(tmp_path):
    training = Training({("vgg16", "none"): 1})
    with pytest.raises(SystemExit):
        main(["--architectures", "vgg16", "--out", str(tmp_path)], training)
    assert "No classifier was trained." in (tmp_path / "comparison.md").read_text()
    assert len(training.calls) == 1


def test_options_that_each_training_sets_itself_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--resume"], Training())
    assert "by itself" in capsys.readouterr().err
