"""``python -m ml.predict``: the same answer without Django, and a sentence when it cannot."""

import json
import subprocess
import sys

import cv2
import pytest

from ml import predict
from ml.data.synthetic import synthetic_radiograph, to_png
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
