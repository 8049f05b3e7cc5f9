"""Learning curves are drawn from what a training wrote, one line a run and figure."""

import json

import pytest

from ml.learning_curves import draw, main


def history(folder, shift: float):
    folder.mkdir()
    lines: list[dict[str, object]] = [
        {"step": step, "loss": {"image": 1 / step + shift, "map": 2 / step, "boxes": 3 / step}}
        for step in (25, 50)
    ]
    lines.append({"step": 50, "validation": {"auroc": 0.9 - shift, "pointing": 0.6}})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "history.jsonl").write_text(text)
    return folder


def test_each_run_has_its_lines_with_the_values_of_its_history(tmp_path):
    runs = [history(tmp_path / "first", 0.0), history(tmp_path / "second", 0.1)]

    left, right = draw(runs).axes

    drawn = {line.get_label(): list(line.get_ydata()) for line in (*left.lines, *right.lines)}
    assert len(drawn) == 10
    assert drawn["second, image"] == pytest.approx([1 / 25 + 0.1, 1 / 50 + 0.1])
    assert drawn["second, auroc"] == pytest.approx([0.8])


def test_a_folder_without_a_training_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        main(["--run", str(tmp_path), "--out", str(tmp_path / "curves.png")])
