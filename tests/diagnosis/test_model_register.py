"""Registering a file from outside: tried out in a limited process, refused with a code."""

import hashlib
import io
import json
import sys

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from diagnosis.models import ModelVersion
from ml.predictor import WEIGHTS_FOLDER
from tests.support import models

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path, settings):
    settings.ML_CACHE_DIR = tmp_path / "cache"
    return models.model_folder(tmp_path / "model", version="5")


def register(folder, *options, file=None):
    out = io.StringIO()
    call_command(
        "model_register",
        str(file or next(folder.glob("*.onnx"))),
        "--manifest",
        str(folder / "manifest.json"),
        "--card",
        str(folder / "MODEL_CARD.md"),
        *options,
        stdout=out,
    )
    return out.getvalue()


def test_an_onnx_file_is_tried_out_and_registered(folder):
    said = register(folder)

    row = ModelVersion.objects.get()
    assert (str(row), row.stage) == ("fracture-detector 5", "registered")
    assert row.card == (WEIGHTS_FOLDER / "MODEL_CARD.md").read_text()
    assert "ms a picture" in said


def test_name_and_version_may_be_chosen(folder):
    register(folder, "--name", "ours", "--model-version", "1")

    assert str(ModelVersion.objects.get()) == "ours 1"


def test_a_wrong_hash_is_refused(folder):
    path = next(folder.glob("*.onnx"))
    path.write_bytes(path.read_bytes() + b"\0")

    with pytest.raises(CommandError, match="not the file of the manifest"):
        register(folder)
    assert not ModelVersion.objects.exists()


def test_outputs_that_are_not_what_the_manifest_says_are_refused(folder):
    manifest = json.loads((folder / "manifest.json").read_text()) | {"regions": ["everything"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(CommandError, match=r"model_contract_broken.*regions"):
        register(folder)
    assert not ModelVersion.objects.exists()


def test_bytes_that_are_no_model_are_refused(folder):
    refused_with(folder, np.random.default_rng(1).bytes(2000), "model_contract_broken")


def refused_with(folder, data: bytes, code: str) -> None:
    path = next(folder.glob("*.onnx"))
    path.write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CommandError, match=code):
        register(folder)
    assert not ModelVersion.objects.exists()


def test_without_the_converters_packages_the_answer_says_so(folder, settings, tmp_path):
    settings.ML_CONVERTER_PYTHON = sys.executable  # the product's own has no TensorFlow
    path = tmp_path / "model.keras"
    path.write_bytes(b"never read")

    with pytest.raises(CommandError, match="converter_missing"):
        register(folder, file=path)
    settings.ML_CONVERTER_PYTHON = str(tmp_path / "no interpreter")
    with pytest.raises(CommandError, match="converter_missing"):
        register(folder, file=path)


def test_a_missing_file_is_named(folder, tmp_path):
    with pytest.raises(CommandError, match=r"nowhere\.onnx"):
        register(folder, file=tmp_path / "nowhere.onnx")
