"""Folds: each picture is held out once, a patient never learns for its own fold."""

from collections import Counter
from pathlib import Path

import pytest

from ml.data.folds import held_out_parts, make_folds, read_folds, write_folds
from ml.data.records import DatasetError, record
from ml.data.split import main
from ml.data.splits import read_split
from ml.data.synthetic import synthetic_radiograph, to_png

COMMITTED = Path(__file__).parents[2] / "ml" / "data" / "splits"


def patients(count, *, size=3):
    """Return ``count`` patients with a fifth fractured, in two regions."""
    return [
        record(
            f"p{patient:03d}-{number}.png",
            Path(f"p{patient:03d}-{number}.png"),
            fractured=patient % 5 == 0,
            region=("hand_arm", "leg")[patient % 2],
            block=f"p{patient:03d}",
        )
        for patient in range(count)
        for number in range(1 + patient % size)
    ]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_picture_is_in_one_fold_with_its_patient_and_strata_are_even(count):
    records = patients(150)
    folds = make_folds(records, count, seed=1)

    assert set(folds) == {r.image_id for r in records}
    assert len({(r.block, folds[r.image_id]) for r in records}) == 150
    for wanted in (True, False):
        inside = Counter(folds[r.image_id] for r in records if r.fractured is wanted)
        for fold in range(count):
            assert inside[fold] / inside.total() == pytest.approx(1 / count, abs=0.06)


def test_the_same_seed_gives_the_same_folds_whatever_the_order():
    records = patients(90)
    folds = make_folds(records, 3, seed=7)
    assert make_folds(records[::-1], 3, seed=7) == folds
    assert make_folds(records, 3, seed=8) != folds


def test_a_held_out_fold_is_the_test_part_and_validation_shares_no_patient_with_training():
    records = patients(150)
    folds = make_folds(records, 3, seed=1, excluded=frozenset({"p001-0.png"}))
    tested = Counter()
    for fold in range(3):
        parts = held_out_parts(records, folds, fold, seed=fold)
        assert set(parts) == {r.image_id for r in records}
        assert parts["p001-0.png"] == "excluded"
        sides = {(r.block, parts[r.image_id]) for r in records} - {("p001", "excluded")}
        assert len(sides) == len({block for block, _ in sides})
        counts = Counter(parts.values())
        assert counts["validation"] / (counts["validation"] + counts["train"]) == pytest.approx(
            0.1, abs=0.03
        )
        assert {r.fractured for r in records if parts[r.image_id] == "validation"} == {True, False}
        tested.update(i for i, part in parts.items() if part == "test")
    assert set(tested.values()) == {1}
    assert len(tested) == len(records) - 1


def test_a_duplicate_ties_patients_also_when_it_is_left_out():
    records = patients(60)
    tie = ["p010-0.png", "p021-0.png", "p032-0.png"]
    for seed in range(6):
        options = {"duplicates": [tie], "seed": seed}
        folds = make_folds(records, 3, excluded=frozenset({"p021-0.png"}), **options)
        parts = held_out_parts(records, folds, (folds["p010-0.png"] + 1) % 3, **options)
        assert len({parts[r.image_id] for r in records if r.block in {"p010", "p032"}}) == 1


def test_impossible_requests_say_so():
    records = patients(20)
    with pytest.raises(DatasetError, match="at least 2"):
        make_folds(records, 1, seed=0)
    with pytest.raises(DatasetError, match="cannot fill"):
        make_folds(records, 50, seed=0)
    folds = make_folds(records, 3, seed=0)
    with pytest.raises(DatasetError, match="no fold 3"):
        held_out_parts(records, folds, 3)
    with pytest.raises(DatasetError, match="below 1"):
        held_out_parts(records, folds, 0, validation=1.0)


def test_a_file_of_folds_reads_back_and_a_foreign_one_is_refused(tmp_path):
    folds = make_folds(patients(20), 3, seed=0)
    write_folds(folds, tmp_path / "folds.csv")
    assert read_folds(tmp_path / "folds.csv") == folds
    with pytest.raises(DatasetError, match="not a file of image_id and fold"):
        read_folds(COMMITTED / "fracatlas_v1.csv")


def test_folds_and_the_parts_of_one_from_the_command_line(tmp_path, capsys):
    pixels = to_png(synthetic_radiograph(0, size=(96, 96)).pixels)
    for patient in range(12):
        outcome = "positive" if patient < 6 else "negative"
        file = tmp_path / "MURA-v1.1/train/XR_WRIST" / f"patient{patient:05d}"
        file = file / f"study1_{outcome}" / "image1.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(pixels)
    command = [str(tmp_path / "MURA-v1.1"), "--format", "mura"]
    folds, parts = tmp_path / "folds.csv", tmp_path / "parts.csv"

    assert main([*command, "--folds", "3", "--out", str(folds)]) == 0
    assert "fold 0: 4 pictures (33.3%), 2 fractured" in capsys.readouterr().out
    held_out = [*command, "--folds-file", str(folds), "--held-out", "1", "--out", str(parts)]
    assert main(held_out) == 0

    wanted = {image_id for image_id, fold in read_folds(folds).items() if fold == 1}
    assert {i for i, part in read_split(parts).items() if part == "test"} == wanted
    assert main([*held_out[:-3], "9", *held_out[-2:]]) == 2
    assert "there is no fold 9" in capsys.readouterr().err


def test_the_committed_folds_hold_the_pictures_of_the_committed_split():
    folds = read_folds(COMMITTED / "fracatlas_folds3_v1.csv")
    parts = read_split(COMMITTED / "fracatlas_v1.csv")
    assert set(folds) == {i for i, part in parts.items() if part != "excluded"}
    assert set(folds.values()) == {0, 1, 2}
