"""Convert a Keras, SavedModel or TensorFlow Lite model to ONNX, in a process that gave all up.

``python -m ml.convert SOURCE TARGET INPUT_SIZE`` prints one JSON object, as ``ml.trial`` does.
Refuses files that carry code before anything loads them, and refuses to write when ONNX and the
original answer differently on fixed synthetic radiographs. Needs ``requirements-convert.txt``.
"""

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ml.carried_code import (
    GRAPH_OPERATIONS,
    CarriesCodeError,
    refuse_keras_archive,
    refuse_keras_config,
    refuse_pickles,
)
from ml.limited import Limits, UnlimitedError, restrict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

PARITY_LIMIT: Final = 1e-3
PICTURES: Final = 8
LIMITS: Final = Limits(memory_bytes=24 * 2**30, cpu_seconds=1200)
NAMES: Final = (
    "image",
    "region",
    "body_region",
    "flags",
    "map",
    "boxes",
    "attributes",
    "features",
)
_NEEDED: Final = ("tensorflow", "keras", "tf2onnx", "onnx", "ai_edge_litert")


class ContractError(ValueError):
    """The model lacks outputs that the product needs."""


class ParityError(ValueError):
    """ONNX and the original answer differently."""


@dataclass(frozen=True, slots=True)
class Original:
    """A loaded model: what it answers, and itself as ONNX with one input and named outputs."""

    forward: Callable[["Array"], Mapping[str, "Array"]]
    onnx: Any


def convert(source: Path, target: Path, size: int) -> dict[str, Any]:
    """Write the ONNX file and return its sha256 and the largest difference of each output.

    Raises:
        CarriesCodeError, ContractError, ParityError: see there.
        ValueError: it is no model of the kind that its name says.
    """
    refuse_pickles(source)
    original = _load(source, size)
    original.onnx.producer_name = "fracture-site"
    data: bytes = original.onnx.SerializeToString()
    differences = _parity(original, data, size)
    worst = max(value for name, value in differences.items() if name != "features")
    if not worst <= PARITY_LIMIT:
        raise ParityError(f"{worst:.2g}")
    target.write_bytes(data)
    return {
        "ok": True,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "parity": {name: round(value, 8) for name, value in differences.items()},
    }


def _load(source: Path, size: int) -> Original:
    kind = "savedmodel" if source.is_dir() else source.suffix.lower()
    if kind == ".keras":
        refuse_keras_archive(source)
        return _from_keras(source, size)
    if kind in {".h5", ".hdf5"}:
        _refuse_h5(source)
        return _from_keras(source, size)
    if kind == ".tflite":
        return _from_tflite(source)
    if kind == "savedmodel":
        return _from_saved_model(source, size)
    raise ValueError(f"unknown kind of model file: {kind}")


def _refuse_h5(source: Path) -> None:
    import h5py

    with h5py.File(source, "r") as stored:
        config = stored.attrs.get("model_config")
    if config is None:
        raise ValueError("weights without a model")
    refuse_keras_config(json.loads(config))


def _from_keras(source: Path, size: int) -> Original:
    import keras

    import ml.architectures.detector  # noqa: F401  # registers what ships with this package

    try:
        model = keras.saving.load_model(source, compile=False, safe_mode=True)
    except (TypeError, ValueError) as error:
        if "Could not locate" in str(error) or "Unknown layer" in str(error):
            raise CarriesCodeError("an unknown object") from error
        raise
    outputs = model.output
    if not isinstance(outputs, dict):
        values = outputs if isinstance(outputs, list) else [outputs]
        outputs = dict(zip(model.output_names, values, strict=True))
    pooled = {layer.name: layer for layer in model.layers}.get("pool")
    if "features" not in outputs and pooled is not None:
        outputs = {**outputs, "features": pooled.output}
    _require_names(outputs)
    whole = keras.Model(model.input, [outputs[name] for name in NAMES])

    def forward(pixels: Any) -> dict[str, Any]:
        return dict(zip(NAMES, whole(pixels, training=False), strict=True))

    return _from_graph(forward, size)


def _from_saved_model(source: Path, size: int) -> Original:
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    description = saved_model_pb2.SavedModel()
    try:
        description.ParseFromString((source / "saved_model.pb").read_bytes())
    except OSError as error:
        raise ValueError("no saved_model.pb") from error
    for meta in description.meta_graphs:
        nodes = [node for f in meta.graph_def.library.function for node in f.node_def]
        if found := {node.op for node in (*nodes, *meta.graph_def.node)} & GRAPH_OPERATIONS:
            raise CarriesCodeError(", ".join(sorted(found)))
    loaded = tf.saved_model.load(str(source))
    signature = loaded.signatures.get("serving_default")
    if signature is None:
        raise ContractError("no signature serving_default")
    _require_names(signature.structured_outputs)
    inputs = list(signature.structured_input_signature[1])
    if len(inputs) != 1:
        raise ContractError("more than one input")

    return _from_graph(lambda pixels: signature(**{inputs[0]: pixels}), size)


def _from_graph(forward: Callable[[Any], Mapping[str, Any]], size: int) -> Original:
    """Trace what answers by name and convert that, so that nothing but the answers is in it."""
    import tensorflow as tf
    import tf2onnx

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 1), tf.float32, name="pixels")])
    def answer(pixels: Any) -> Any:
        values = forward(pixels)
        return {name: tf.identity(values[name], name=name) for name in NAMES}

    proto, _ = tf2onnx.convert.from_function(
        answer, input_signature=answer.input_signature, opset=17
    )

    def answers(pixels: "Array") -> Mapping[str, "Array"]:
        return {name: _array(value) for name, value in answer(tf.constant(pixels)).items()}

    return Original(answers, proto)


def _from_tflite(source: Path) -> Original:
    import tf2onnx

    # TensorFlow's own interpreter answers zeros for variables that were frozen into the file.
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(source))
    names = interpreter.get_signature_list()
    if not names:
        raise ContractError("no signature")
    details = interpreter._get_ops_details()  # noqa: SLF001 - there is no public way
    operations = {entry["op_name"] for entry in details}
    if any(name.startswith(("CUSTOM", "Flex")) for name in operations):
        raise CarriesCodeError("a custom operation")
    key = "serving_default" if "serving_default" in names else next(iter(names))
    runner = interpreter.get_signature_runner(key)
    outputs, inputs = runner.get_output_details(), runner.get_input_details()
    _require_names(outputs)
    if len(inputs) != 1:
        raise ContractError("more than one input")
    proto, _ = tf2onnx.convert.from_tflite(str(source), opset=17)
    renamed = {outputs[name]["name"]: name for name in NAMES}
    renamed[next(iter(inputs.values()))["name"]] = "pixels"
    _rename(proto.graph, renamed)
    [argument] = inputs

    def forward(pixels: "Array") -> Mapping[str, "Array"]:
        import numpy as np

        # The answers are views of memory that the next run overwrites.
        answers = (runner(**{argument: picture[None]}) for picture in pixels)
        rows = [{name: np.array(values[name]) for name in NAMES} for values in answers]
        return {name: np.concatenate([np.atleast_1d(row[name]) for row in rows]) for name in NAMES}

    return Original(forward, proto)


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)


def _array(value: Any) -> "Array":
    import numpy as np

    return np.asarray(value, np.float32)


def _require_names(outputs: Mapping[str, Any]) -> None:
    missing = set(NAMES) - set(outputs)
    if missing:
        raise ContractError(f"lacks the outputs {sorted(missing)}")


def _parity(original: Original, data: bytes, size: int) -> dict[str, float]:
    """Return the largest difference of each output, as ``ml.export`` compares them."""
    import numpy as np
    import onnxruntime as ort

    from ml.data.synthetic import synthetic_radiograph
    from ml.export_scores import largest_differences
    from ml.preprocessing import prepare

    pictures = [synthetic_radiograph(seed).pixels for seed in range(1, PICTURES + 1)]
    pixels = np.stack([prepare(p, input_size=size).pixels for p in pictures])[..., None]
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), [output.name for output in session.get_outputs()]
    if len(inputs) != 1 or set(NAMES) - set(outputs):
        raise ContractError("the converted graph has other inputs or outputs")
    rows = [session.run(list(NAMES), {inputs[0].name: picture[None]}) for picture in pixels]
    reference = original.forward(pixels)
    answers = {
        name: np.concatenate(values).reshape(reference[name].shape)
        for name, *values in zip(NAMES, *rows, strict=True)
    }
    return largest_differences(reference, answers, input_size=size)


def main(argv: Sequence[str] | None = None) -> int:
    """Restrict this process, then convert."""
    source, target, size = sys.argv[1:] if argv is None else argv
    try:
        if any(importlib.util.find_spec(name) is None for name in _NEEDED):
            answer: dict[str, Any] = {"ok": False, "code": "converter_missing"}
        else:
            restrict(LIMITS)
            answer = convert(Path(source), Path(target), int(size))
    except UnlimitedError as error:
        answer = {"ok": False, "code": "model_limits_unavailable", "detail": str(error)}
    except CarriesCodeError as error:
        answer = {"ok": False, "code": "model_carries_code", "detail": str(error)}
    except ParityError as error:
        answer = {"ok": False, "code": "model_parity_failed", "detail": str(error)}
    except ContractError as error:
        answer = {"ok": False, "code": "model_contract_broken", "detail": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever the libraries make of a broken file
        answer = {"ok": False, "code": "model_unreadable", "detail": type(error).__name__}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
