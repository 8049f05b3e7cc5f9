"""Splits of any data set: a patient is on one side only, whatever else must give."""

import json
from collections import Counter
from pathlib import Path

import pytest

from ml.data.grouped import grouped_split
from ml.data.records import DatasetError, record
from ml.data.split import main
from ml.data.splits import read_split
from ml.data.synthetic import synthetic_radiograph, to_png

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


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


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_on_two_sides_and_shares_and_strata_hold(seed):
    records = patients(200)
    parts = grouped_split(records, SHARES, seed=seed)

    sides = {(r.block, parts[r.image_id]) for r in records}
    assert len(sides) == 200
    for wanted in (True, False):
        inside = Counter(parts[r.image_id] for r in records if r.fractured is wanted)
        for part, share in SHARES.items():
            assert inside[part] / inside.total() == pytest.approx(share, abs=0.05)


def test_a_duplicate_ties_two_patients_together_even_when_it_is_left_out():
    records = patients(60)
    tie = ["p010-0.png", "p021-0.png", "p032-0.png"]
    for seed in range(8):
        parts = grouped_split(
            records, SHARES, seed=seed, duplicates=[tie], excluded=frozenset({"p021-0.png"})
        )
        assert parts["p021-0.png"] == "excluded"
        tied = {parts[r.image_id] for r in records if r.block in {"p010", "p032"}}
        assert len(tied) == 1


def test_the_order_of_the_files_changes_nothing_and_the_seed_does():
    records = patients(80)
    parts = grouped_split(records, SHARES, seed=4)
    assert grouped_split(records[::-1], SHARES, seed=4) == parts
    assert grouped_split(records, SHARES, seed=5) != parts


def test_one_patient_cannot_be_divided():
    one = [r for r in patients(3) if r.block == "p002"]
    with pytest.raises(DatasetError, match="cannot fill"):
        grouped_split(one, SHARES, seed=0)


@pytest.fixture
def mura(tmp_path):
    """Write ten MURA patients with two pictures each."""
    pixels = to_png(synthetic_radiograph(0, size=(96, 96)).pixels)
    for patient in range(10):
        outcome = "positive" if patient < 5 else "negative"
        study = tmp_path / "MURA-v1.1" / "train" / "XR_WRIST" / f"patient{patient:05d}"
        for view in (1, 2):
            file = study / f"study1_{outcome}" / f"image{view}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(pixels)
    return tmp_path / "MURA-v1.1"


def test_eighty_twenty_from_the_command_line(mura, tmp_path, capsys):
    out = tmp_path / "split.csv"
    command = [str(mura), "--format", "mura", "--out", str(out), "--by", "group"]
    command += ["--test", "0.2", "--validation", "0", "--seed", "3"]

    assert main(command) == 0
    first = out.read_bytes()
    assert main(command) == 0

    assert out.read_bytes() == first
    parts = read_split(out)
    assert Counter(parts.values()) == {"train": 16, "test": 4}
    assert len({(name.split("/")[2], part) for name, part in parts.items()}) == 10
    assert "train: 16 pictures (80.0%), 8 fractured, 8 groups" in (said := capsys.readouterr().out)
    assert "warning" not in said


def test_the_integrity_report_keeps_bad_pictures_out(mura, tmp_path):
    bad = "train/XR_WRIST/patient00001/study1_positive/image1.png"
    report = {
        "unreadable": {bad: "damaged"},
        "exact_duplicates": [],
        "near_duplicates": [],
        "label_conflicts": [],
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    command = [str(mura), "--format", "mura", "--out", str(tmp_path / "split.csv")]

    assert main([*command, "--report", str(tmp_path / "report.json")]) == 0
    assert read_split(tmp_path / "split.csv")[bad] == "excluded"


@pytest.mark.parametrize("bad", [["--test", "0"], ["--test", "0.9", "--validation", "0.1"]])
def test_impossible_shares_end_with_status_2(mura, tmp_path, capsys, bad):
    out = tmp_path / "split.csv"
    assert main([str(mura), "--format", "mura", "--out", str(out), *bad]) == 2
    assert "above 0" in capsys.readouterr().err
    assert not out.exists()


def test_an_empty_folder_or_a_foreign_report_ends_with_status_2(mura, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "split.csv")]
    assert main([str(tmp_path / "empty"), "--format", "mura", *out]) == 2
    (tmp_path / "other.json").write_text("[]")
    command = [str(mura), "--format", "mura", *out, "--report", str(tmp_path / "other.json")]
    assert main(command) == 2
    assert "not a report" in capsys.readouterr().err


def test_a_data_set_without_patients_is_warned_about(mura, tmp_path, capsys):
    for number, file in enumerate(sorted(mura.rglob("*.png"))):
        target = tmp_path / "plain" / ("normal" if number % 2 else "fractured") / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    out = ["--out", str(tmp_path / "split.csv")]

    assert main([str(tmp_path / "plain"), "--format", "folders", *out]) == 0

    assert "names no patients" in capsys.readouterr().out
