"""``python -m ml.predict``: the same answer without Django, and a sentence when it cannot."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from ml import predict
from ml.data.synthetic import synthetic_radiograph, to_png
from ml.data.synthetic_files import to_dicom
from ml.predictor import load_predictor


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.png"
    path.write_bytes(to_png(synthetic_radiograph(2, fractured=True).pixels))
    return path


def test_json_is_one_object_a_file_and_equals_the_product_s_answer(film, capsys):
    assert predict.main(["--image", str(film), str(film), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = load_predictor().predict(film.read_bytes())
    assert [line["probability"] for line in lines] == [expected.probability] * 2
    assert lines[0]["verdict"] == expected.verdict.value
    assert lines[0]["model"]["sha256"] == expected.model.sha256
    assert len(lines[0]["findings"]) == len(expected.findings)
    assert "not a diagnosis" in lines[0]["disclaimer"]


def test_plain_text_names_the_verdict_and_the_model(film, capsys):
    assert predict.main(["--image", str(film)]) == 0
    text = capsys.readouterr().out
    assert "fracture probability" in text
    assert "fracture-detector" in text


def test_the_heatmap_is_written_as_a_picture_of_the_same_aspect(film, tmp_path, capsys):
    folder = tmp_path / "maps"
    assert predict.main(["--image", str(film), "--json", "--heatmap", str(folder)]) == 0
    written = json.loads(capsys.readouterr().out)["heatmap"]
    heatmap = cv2.imread(written, cv2.IMREAD_UNCHANGED)
    assert heatmap.ndim == 2
    assert heatmap.shape[1] / heatmap.shape[0] == pytest.approx(373 / 454, rel=0.02)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7 ...", "is a PDF"),
        (b"hello, this is text", "is not an image"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is damaged"),
    ],
)
def test_a_file_that_cannot_be_used_ends_with_2_and_a_sentence(tmp_path, capsys, content, sentence):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert predict.main(["--image", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert captured.err.strip().endswith(".")


def test_a_missing_file_ends_with_2_and_the_others_are_still_analysed(film, tmp_path, capsys):
    missing = tmp_path / "none.png"
    assert predict.main(["--image", str(missing), str(film), "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["file"] == str(film)
    assert "cannot be read" in captured.err


def test_a_picture_that_cannot_be_assessed_is_an_answer(tmp_path, capsys):
    path = tmp_path / "black.png"
    path.write_bytes(cv2.imencode(".png", synthetic_radiograph(1).pixels * 0)[1].tobytes())
    assert predict.main(["--image", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "cannot_assess"
    assert answer["reasons"] == ["blank"]


def test_a_model_folder_that_is_none_ends_with_2(film, tmp_path, capsys):
    assert predict.main(["--image", str(film), "--model", str(tmp_path)]) == 2
    assert "model cannot be used" in capsys.readouterr().err


def test_a_frame_that_does_not_exist_ends_with_2(film, capsys):
    assert predict.main(["--image", str(film), "--frame", "3"]) == 2
    assert "no frame 3" in capsys.readouterr().err


def test_the_command_needs_neither_django_nor_tensorflow(film):
    code = (
        "import sys, runpy\n"
        "sys.modules['django'] = sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        f"sys.argv = ['ml.predict', '--image', {str(film)!r}, '--json']\n"
        "runpy.run_module('ml.predict', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"]


@pytest.fixture
def folder(tmp_path):
    """Write a folder of pictures, a DICOM file without suffix, and what is no picture."""
    root = tmp_path / "films"
    (root / "deep").mkdir(parents=True)
    fractured = synthetic_radiograph(2, fractured=True).pixels
    (root / "a.png").write_bytes(to_png(fractured))
    (root / "deep" / "a.png").write_bytes(to_png(synthetic_radiograph(3).pixels))
    (root / "deep" / "IM0001").write_bytes(to_dicom(fractured))
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    (root / "notes.txt").write_text("not a picture")
    (root / ".hidden.png").write_bytes(b"no")
    return root


def test_a_folder_is_done_to_its_end_although_a_file_is_damaged(folder, tmp_path, capsys):
    table, overlays = tmp_path / "answers.csv", tmp_path / "overlays"
    command = [str(folder), "--json", "--csv", str(table), "--overlay", str(overlays)]
    assert predict.main(command) == 2
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [Path(line["file"]).name for line in lines] == ["a.png", "IM0001", "a.png"]
    assert "broken.jpg is damaged" in said.err
    assert "notes.txt" not in said.err
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [Path(row["file"]).name for row in rows] == ["a.png", "broken.jpg", "IM0001", "a.png"]
    assert float(rows[0]["probability"]) == lines[0]["probability"]
    assert "damaged" in rows[1]["error"]
    assert not rows[0]["error"]
    # Two pictures of one name do not overwrite each other.
    assert {p.name for p in overlays.iterdir()} == {
        "a-overlay.png",
        "a-2-overlay.png",
        "IM0001-overlay.png",
    }
    assert {line["overlay"] for line in lines} == {str(p) for p in overlays.iterdir()}


def test_a_folder_without_pictures_is_named_and_the_rest_is_done(folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert predict.main([str(tmp_path / "empty"), str(folder / "a.png"), "--json"]) == 2
    said = capsys.readouterr()
    assert "holds no pictures" in said.err
    assert len(said.out.splitlines()) == 1


def test_nothing_named_is_a_wrong_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        predict.main([])
    assert stopped.value.code == 2
    assert "name a file or a folder" in capsys.readouterr().err


def test_a_table_that_cannot_be_written_ends_with_2(film, tmp_path, capsys):
    assert predict.main([str(film), "--csv", str(tmp_path / "no" / "x.csv")]) == 2
    assert "cannot be written to" in capsys.readouterr().err
