"""Find code inside of model files without running any of it; needs no TensorFlow.

Keras files describe layers by name. Harmless are Keras' own ones and the functions that ship with
this package; a lambda is stored as byte code, and anything else would be code of somebody else.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

SHIPPED: Final = frozenset({"fracture>box_distances"})
_PICKLES: Final = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".npy"})
_PICKLE_STARTS: Final = tuple(bytes((0x80, protocol)) for protocol in (2, 3, 4, 5))
# Operations of a TensorFlow graph that reach out of it.
GRAPH_OPERATIONS: Final = frozenset(
    {
        "PyFunc",
        "PyFuncStateless",
        "EagerPyFunc",
        "ReadFile",
        "WriteFile",
        "PrintV2",
        "LoadDataset",
        "MatchingFiles",
        "GeneratorDataset",
        "XlaHostCompute",
    }
)
_CONFIG_BYTES: Final = 64 * 2**20


class CarriesCodeError(ValueError):
    """The file would run somebody's code when it is loaded or used."""


def refuse_pickles(path: Path) -> None:
    """Refuse what Python would unpickle.

    Raises:
        CarriesCodeError: by its name, its first bytes, or a pickle inside of an archive.
    """
    if path.is_dir():
        for inner in path.rglob("*"):
            if inner.is_file():
                refuse_pickles(inner)
        return
    if path.suffix.lower() in _PICKLES:
        raise CarriesCodeError(path.suffix)
    with path.open("rb") as stream:
        if stream.read(2).startswith(_PICKLE_STARTS):
            raise CarriesCodeError("pickle")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if Path(name).suffix.lower() in _PICKLES:
                    raise CarriesCodeError(name)


def refuse_keras_archive(path: Path) -> None:
    """Refuse a ``.keras`` archive whose configuration names code.

    Raises:
        CarriesCodeError: it does.
        ValueError: it is no such archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > _CONFIG_BYTES:
                raise ValueError("config.json is too large")
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError("not a .keras archive") from error
    refuse_keras_config(config)


def refuse_keras_config(config: object) -> None:
    """Refuse a model's configuration that names code.

    Raises:
        CarriesCodeError: a lambda, or an object that is neither Keras' own nor shipped.
    """
    for entry in _objects(config):
        kind, registered = str(entry.get("class_name", "")), entry.get("registered_name")
        if kind == "__lambda__" or entry.get("function_type") == "lambda":
            raise CarriesCodeError("a lambda")
        module = entry.get("module")
        if kind == "Lambda" and not _shipped_function(entry):
            raise CarriesCodeError("a Lambda layer")
        if module is None and registered is None:
            continue  # a value, or a layer in the older spelling: Keras knows only its own
        if module == "builtins" and kind == "function" and _shipped(entry.get("config")):
            continue
        if not (isinstance(module, str) and (module == "keras" or module.startswith("keras."))):
            raise CarriesCodeError(f"the object {str(registered or kind)[:80]}")


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield every object of a JSON value, however deep."""
    pending = [value]
    while pending:
        found = pending.pop()
        if isinstance(found, dict):
            yield found
            pending.extend(found.values())
        elif isinstance(found, list):
            pending.extend(found)


def _shipped_function(layer: Mapping[str, Any]) -> bool:
    config = layer.get("config")
    function = config.get("function") if isinstance(config, dict) else None
    return isinstance(function, dict) and _shipped(function.get("config"))


def _shipped(name: object) -> bool:
    return isinstance(name, str) and name in SHIPPED
