"""Measuring and calibrating a model folder on any folder of labelled pictures; plumbing only."""

import csv
import json
import shutil
import subprocess
import sys

import pytest
from pypdf import PdfReader

from ml import calibrate, evaluate
from ml.data.synthetic import synthetic_radiograph, to_png
from ml.data.synthetic_files import to_dicom
from ml.predictor import WEIGHTS_FOLDER, load_predictor

FLAT_KEYS = {
    "auroc",
    "auroc_without_hardware",
    "auprc",
    "ece",
    "sensitivity_suspicion",
    "specificity_suspicion",
    "sensitivity_definite",
    "specificity_definite",
    "sensitivity_at_specificity_80",
    "ap30",
    "ap50",
    "ap50_95",
    "pointing_game",
    "region_macro_f1",
    "pattern_balanced_accuracy",
    "severity_balanced_accuracy",
    "cannot_assess_rate",
}


def write_csv(path, rows):
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write 24 synthetic pictures, half of them broken, and a black one that is refused."""
    root = tmp_path_factory.mktemp("data")
    (root / "images").mkdir()
    rows, boxes, parts = [], [], []
    for index in range(24):
        fractured = index % 2 == 0
        region = ["forearm", "hand", "leg"][index % 3]
        picture = synthetic_radiograph(index, region=region, fractured=fractured)
        name = f"S{index:02d}.png"
        pixels = picture.pixels * (0 if index == 23 else 1)
        (root / "images" / name).write_bytes(to_png(pixels))
        rows.append(
            {
                "image_id": name,
                "fractured": int(fractured),
                "region": "leg" if region == "leg" else "hand",
                "block": f"B{index // 4}{fractured}",
                "hardware": int(index in {0, 1}),
                "frontal": int(index % 2),
                "lateral": 1 - int(index % 2),
                "remark": "an extra column, with a comma",
            }
        )
        if picture.box is not None:
            box = picture.box
            boxes.append(
                {
                    "image_id": name,
                    "x": box.x,
                    "y": box.y,
                    "w": box.width,
                    "h": box.height,
                    "severity": "mild",
                    "pattern": "transverse",
                }
            )
        parts.append({"image_id": name, "part": "train" if index < 8 else "validation"})
    write_csv(root / "manifest.csv", rows)
    write_csv(root / "boxes.csv", boxes)
    write_csv(root / "split.csv", parts)
    return root


def measured(folder, out, *options):
    evaluate.main(
        [
            *("--manifest", str(folder / "manifest.csv")),
            *("--images", str(folder / "images")),
            *("--json", str(out)),
            *("--draws", "20"),
            *options,
        ]
    )
    return json.loads(out.read_text())


def rewritten(folder, root, *, rows=slice(None), without=()):
    """Copy the manifest and boxes of some pictures, without some columns."""
    root.mkdir(exist_ok=True)
    with (folder / "manifest.csv").open() as file:
        kept = list(csv.DictReader(file))[rows]
    names = {row["image_id"] for row in kept}
    write_csv(
        root / "manifest.csv", [{k: v for k, v in r.items() if k not in without} for r in kept]
    )
    with (folder / "boxes.csv").open() as file:
        boxes = [row for row in csv.DictReader(file) if row["image_id"] in names]
    if boxes:
        write_csv(
            root / "boxes.csv", [{k: v for k, v in r.items() if k not in without} for r in boxes]
        )
    shutil.copytree(folder / "images", root / "images", dirs_exist_ok=True)
    return root


def test_every_figure_comes_with_its_interval_also_in_groups(folder, tmp_path):
    values = measured(folder, tmp_path / "out.json", "--boxes", str(folder / "boxes.csv"))
    assert set(values) >= FLAT_KEYS
    for key in FLAT_KEYS:
        assert set(values[key]) == {"value", "ci95", "n"}
    assert 0 <= values["auroc"]["value"] <= 1
    low, high = values["auroc"]["ci95"]
    assert low <= high
    assert values["pictures"] == 24
    assert values["fractured"] == 12
    assert values["auroc_without_hardware"]["n"] == 21
    assert set(values["groups"]) == {"region", "view", "hardware", "size"}
    assert set(values["groups"]["hardware"]["without"]) >= FLAT_KEYS
    for group in values["groups"]["size"].values():
        assert group["specificity_suspicion"]["n"] >= 11  # with all pictures without fracture
    assert sum(part["n"] for part in values["reliability"]) == 23
    assert sum(map(sum, values["confusion"]["region"]["rows_true"])) == 23


def test_a_refused_picture_counts_as_refused_and_not_as_negative(folder, tmp_path):
    values = measured(folder, tmp_path / "out.json")
    assert values["refusals"]["blank"] == 1
    assert values["cannot_assess_rate"]["value"] == pytest.approx(1 / 24, abs=1e-3)
    assert values["auroc"]["n"] == 23
    assert any("1 pictures were not assessed" in note for note in values["notes"])


def test_figures_whose_columns_are_missing_are_left_out(folder, tmp_path):
    bare = rewritten(
        folder,
        tmp_path / "bare",
        without=("hardware", "block", "frontal", "lateral", "region", "severity"),
    )
    values = measured(bare, tmp_path / "out.json", "--boxes", str(bare / "boxes.csv"))
    absent = {"auroc_without_hardware", "severity_balanced_accuracy", "region_macro_f1"}
    assert set(values) >= FLAT_KEYS - absent
    assert not absent & set(values)
    assert set(values["groups"]) == {"size"}
    assert values["bootstrap_unit"] == "image"


def test_without_boxes_the_figures_of_places_are_left_out(folder, tmp_path):
    values = measured(folder, tmp_path / "out.json")
    assert "ap50" not in values
    assert "pointing_game" not in values
    assert "size" not in values["groups"]


@pytest.mark.parametrize(
    ("first", "defined", "undefined"),
    [
        (0, "sensitivity_suspicion", "specificity_suspicion"),
        (1, "specificity_suspicion", "sensitivity_suspicion"),
    ],
)
def test_one_label_alone_gives_what_can_be_said(folder, tmp_path, first, defined, undefined):
    part = rewritten(folder, tmp_path / "one", rows=slice(first, 24, 2))
    values = measured(part, tmp_path / "out.json", "--report", str(tmp_path / "report"))
    assert values[defined]["value"] is not None
    assert values[undefined]["value"] is None
    assert values["auroc"]["value"] is None
    assert values["auroc"]["ci95"] == [None, None]
    assert any("one label only" in note for note in values["notes"])
    assert (tmp_path / "report" / "report.pdf").is_file()


def test_five_pictures_are_enough_and_a_label_from_one_block_has_no_interval(folder, tmp_path):
    few = rewritten(folder, tmp_path / "few", rows=slice(0, 5))
    values = measured(few, tmp_path / "out.json", "--boxes", str(few / "boxes.csv"))
    assert values["auroc"]["n"] == 5
    assert values["auroc"]["value"] is not None
    assert values["auroc"]["ci95"] == [None, None]


def test_pictures_may_be_dicom_or_have_another_suffix(folder, tmp_path):
    few = rewritten(folder, tmp_path / "few", rows=slice(0, 4))
    image = few / "images" / "S00.png"
    (few / "images" / "S00.dcm").write_bytes(to_dicom(synthetic_radiograph(0).pixels))
    image.unlink()
    assert measured(few, tmp_path / "out.json")["auroc"]["n"] == 4


def test_a_damaged_picture_is_counted_and_the_others_are_measured(folder, tmp_path):
    few = rewritten(folder, tmp_path / "few", rows=slice(0, 6))
    (few / "images" / "S01.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    values = measured(few, tmp_path / "out.json")
    assert values["refusals"] == {"unreadable": 1}
    assert values["auroc"]["n"] == 5
    assert values["cannot_assess_rate"]["n"] == 6


def test_missing_pictures_end_with_2_and_name_the_first(folder, tmp_path, capsys):
    few = rewritten(folder, tmp_path / "few", rows=slice(0, 6))
    for name in ("S02.png", "S04.png"):
        (few / "images" / name).unlink()
    with pytest.raises(SystemExit) as stopped:
        measured(few, tmp_path / "out.json")
    assert stopped.value.code == 2
    assert "2 of 6 pictures are not in" in (said := capsys.readouterr().err)
    assert "the first is S02.png" in said


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("name,fractured\na.png,1\n", "no column 'image_id'"),
        ("image_id,broken\nS00.png,1\n", "no column 'fractured'"),
        ("image_id,fractured\nS00.png,maybe\n", "fractured is 'maybe'"),
        ("image_id,fractured\nS00.png,1\nS00.png,0\n", "names S00.png more than once"),
    ],
)
def test_a_manifest_that_says_too_little_ends_with_2(folder, tmp_path, capsys, manifest, words):
    shutil.copytree(folder / "images", tmp_path / "images")
    (tmp_path / "manifest.csv").write_text(manifest)
    with pytest.raises(SystemExit) as stopped:
        measured(tmp_path, tmp_path / "out.json")
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_the_report_has_plots_figures_and_the_worst_mistakes(folder, tmp_path):
    out = tmp_path / "report"
    values = measured(
        folder, tmp_path / "o.json", "--boxes", str(folder / "boxes.csv"), "--report", str(out)
    )
    page = (out / "report.html").read_text()
    assert f"{values['auroc']['value']:.3f}" in page
    names = {path.name for path in out.iterdir()}
    assert {"roc.svg", "precision-recall.svg", "reliability.svg", "froc.svg", "scores.svg"} <= names
    assert {"miss-01.png", "alarm-01.png", "confusion-region.svg", "report.pdf"} <= names
    for name in names - {"report.html", "report.pdf"}:
        assert name in page
    text = "".join(p.extract_text() for p in PdfReader(out / "report.pdf").pages)
    assert "Fractures with the lowest probability" in text
    assert "pointing game" in text


def test_the_command_needs_neither_django_nor_tensorflow(folder, tmp_path):
    few = rewritten(folder, tmp_path / "few", rows=slice(0, 4))
    arguments = ["ml.evaluate", "--manifest", str(few / "manifest.csv")]
    arguments += ["--images", str(few / "images"), "--json", str(tmp_path / "out.json")]
    arguments += ["--report", str(tmp_path / "report"), "--draws", "5"]
    code = (
        "import sys, runpy\n"
        "sys.modules['django'] = sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        f"sys.argv = {arguments!r}\n"
        "runpy.run_module('ml.evaluate', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "report.pdf").read_bytes().startswith(b"%PDF")


def test_only_the_asked_part_is_measured(folder, tmp_path):
    options = ("--split", str(folder / "split.csv"), "--part", "train")
    assert measured(folder, tmp_path / "out.json", *options)["pictures"] == 8


def test_an_empty_part_is_an_error(folder, tmp_path):
    with pytest.raises(SystemExit):
        measured(folder, tmp_path / "o", "--split", str(folder / "split.csv"), "--part", "none")


def test_calibration_writes_a_manifest_that_loads(folder, tmp_path):
    model = shutil.copytree(WEIGHTS_FOLDER, tmp_path / "model")
    before = json.loads((model / "manifest.json").read_text())
    calibrate.main(
        [
            *("--model", str(model)),
            *("--data", str(folder)),
            *("--split", str(folder / "split.csv")),
            *("--threads", "1"),
        ]
    )
    after = json.loads((model / "manifest.json").read_text())
    assert after["calibration"]["id"] != before["calibration"]["id"]
    assert after["sha256"] == before["sha256"]
    info = load_predictor(model).info
    assert 0 < info.thresholds.suspicion <= info.thresholds.definite < 1
