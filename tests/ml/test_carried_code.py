"""Files that would run somebody's code are refused before anything loads them."""

import json
import pickle
import zipfile

import pytest

from ml.carried_code import (
    CarriesCodeError,
    refuse_keras_archive,
    refuse_keras_config,
    refuse_pickles,
)

DENSE = {"module": "keras.layers", "class_name": "Dense", "registered_name": None, "config": {}}
SHIPPED = {
    "module": "builtins",
    "class_name": "function",
    "config": "fracture>box_distances",
    "registered_name": "function",
}
BYTE_CODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}}


def lambda_layer(function) -> dict:
    return DENSE | {"class_name": "Lambda", "config": {"function": function}}


def model(*layers) -> dict:
    return DENSE | {"class_name": "Functional", "config": {"layers": list(layers)}}


def test_plain_layers_and_the_shipped_function_pass():
    refuse_keras_config(model(DENSE, lambda_layer(SHIPPED)))
    refuse_keras_config({"class_name": "Sequential", "config": [{"class_name": "Dense"}]})


@pytest.mark.parametrize(
    "layer",
    [
        lambda_layer(BYTE_CODE),
        lambda_layer("os.system"),
        lambda_layer(SHIPPED | {"config": "somebody>function"}),
        {"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}},
        {"class_name": "Dense", "config": {"function_type": "lambda"}},
        DENSE | {"module": "somebody.layers", "registered_name": "somebody>Dense"},
        DENSE | {"module": "os", "class_name": "system"},
        DENSE | {"module": "builtins", "class_name": "eval"},
        DENSE | {"module": "kerasevil", "class_name": "Dense"},
        DENSE | {"config": {"activation": BYTE_CODE}},
        DENSE | {"module": None, "registered_name": "somebody>Dense"},
    ],
)
def test_code_is_found_however_deep(layer):
    with pytest.raises(CarriesCodeError):
        refuse_keras_config(model(model(layer)))


def archive(path, config):
    with zipfile.ZipFile(path, "w") as stored:
        stored.writestr("config.json", config)
    return path


def test_an_archive_is_read_without_unpacking_it(tmp_path):
    refuse_keras_archive(archive(tmp_path / "good.keras", json.dumps(model(DENSE))))
    with pytest.raises(CarriesCodeError):
        refuse_keras_archive(
            archive(tmp_path / "bad.keras", json.dumps(model(lambda_layer(BYTE_CODE))))
        )


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_what_is_no_archive_is_unreadable_and_no_code(tmp_path, content):
    path = tmp_path / "model.keras"
    path.write_bytes(content)

    with pytest.raises(ValueError) as refused:
        refuse_keras_archive(path)
    assert not isinstance(refused.value, CarriesCodeError)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_refused_whatever_they_are_called(tmp_path, protocol):
    path = tmp_path / "model.h5"
    path.write_bytes(pickle.dumps({"weights": [1.0]}, protocol))

    with pytest.raises(CarriesCodeError):
        refuse_pickles(path)


def test_pickles_inside_of_archives_and_folders_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as stored:
        stored.writestr("model/data.pkl", b"")
    with pytest.raises(CarriesCodeError):
        refuse_pickles(tmp_path / "model.keras")
    folder = tmp_path / "saved" / "assets"
    folder.mkdir(parents=True)
    (folder / "vocabulary.joblib").write_bytes(b"")
    with pytest.raises(CarriesCodeError):
        refuse_pickles(tmp_path / "saved")
