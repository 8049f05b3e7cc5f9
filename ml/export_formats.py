"""Write a Keras network in each format; needs ``requirements-train.txt``."""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import tensorflow as tf
import tf2onnx

from ml.export_network import Network

MODEL_NAME: Final = "fracture_detector"
Pictures = npt.NDArray[np.float32]


def _write_onnx(network: Network, path: Path, _: Pictures) -> None:
    path.write_bytes(to_onnx(network))


def _write_int8(network: Network, path: Path, pictures: Pictures) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        source.write_bytes(to_onnx(network))
        proto = onnx.load(source)
        quantize_static(
            source,
            path,
            _Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_last_convolutions(proto),
        )


def _write_keras(network: Network, path: Path, _: Pictures) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*HDF5 file.*legacy")
        network.model.save(path)


def _write_savedmodel(network: Network, path: Path, _: Pictures) -> None:
    forward = _forward(network)
    archive = keras.export.ExportArchive()
    archive.track(network.model)
    archive.add_endpoint("serve", forward.python_function, list(forward.input_signature))
    archive.write_out(str(path), verbose=False)


def _write_tflite(network: Network, path: Path, pictures: Pictures) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _write_savedmodel(network, Path(folder) / "model", pictures)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(Path(folder) / "model"))
        path.write_bytes(converter.convert())


WRITERS: Final[Mapping[str, Callable[[Network, Path, Pictures], None]]] = {
    "onnx": _write_onnx,
    "keras": _write_keras,
    "h5": _write_keras,
    "savedmodel": _write_savedmodel,
    "tflite": _write_tflite,
    "onnx-int8": _write_int8,
}
FILE_NAMES: Final[Mapping[str, str]] = {
    "onnx": f"{MODEL_NAME}.onnx",
    "keras": f"{MODEL_NAME}.keras",
    "h5": f"{MODEL_NAME}.h5",
    "savedmodel": f"{MODEL_NAME}_savedmodel",
    "tflite": f"{MODEL_NAME}.tflite",
    "onnx-int8": f"{MODEL_NAME}.int8.onnx",
}


def to_onnx(network: Network) -> bytes:
    """Convert to an ONNX file with one input and named outputs, batch norm folded away.

    Raises:
        ValueError: the graph has further inputs, lacks outputs, or keeps a batch norm.
    """
    forward = _forward(network)
    proto, _ = tf2onnx.convert.from_function(
        forward, input_signature=forward.input_signature, opset=17
    )
    if len(proto.graph.input) != 1:
        raise ValueError(f"the graph has inputs {[i.name for i in proto.graph.input]}")
    missing = set(network.model.output) - {output.name for output in proto.graph.output}
    if missing:
        raise ValueError(f"the graph lacks the outputs {sorted(missing)}")
    return fold(proto.SerializeToString())


def fold(data: bytes) -> bytes:
    """Return the same graph with constants and batch norm folded into the convolutions.

    The converter leaves a Mul and an Add behind each depthwise convolution. ONNX Runtime would fold
    them at every start; done here, other engines and the quantiser see plain convolutions too.

    Raises:
        ValueError: something is left that only ONNX Runtime knows, or a batch norm.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 3
        ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        proto = onnx.load(path)
    foreign = {node.op_type for node in proto.graph.node if node.domain not in {"", "ai.onnx"}}
    if foreign or _unfolded(proto):
        raise ValueError(f"not folded: {sorted(foreign | set(_unfolded(proto)))}")
    proto.producer_name = "fracture-site"
    proto.producer_version = ""
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _unfolded(proto: onnx.ModelProto) -> list[str]:
    """Return batch norms, and what scales or shifts convolutions by a constant a channel."""
    constants = {v.name for v in proto.graph.initializer if max(v.dims, default=1) > 1}
    convolved = {n.output[0] for n in proto.graph.node if n.op_type == "Conv"}
    return [
        node.name
        for node in proto.graph.node
        if node.op_type == "BatchNormalization"
        or (
            node.op_type in {"Mul", "Add"}
            and convolved & set(node.input)
            and constants & set(node.input)
        )
    ]


def _last_convolutions(proto: onnx.ModelProto) -> list[str]:
    """Return the convolutions behind which no other one follows: they give the answers.

    Their few weights cost no time, and rounding them would move every answer.
    """
    users: dict[str, list[Any]] = {}
    for node in proto.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def leads_to_convolution(name: str, seen: set[str]) -> bool:
        for node in users.get(name, []):
            if node.op_type == "Conv":
                return True
            for output in node.output:
                if output not in seen:
                    seen.add(output)
                    if leads_to_convolution(output, seen):
                        return True
        return False

    return [
        node.name
        for node in proto.graph.node
        if node.op_type == "Conv" and not leads_to_convolution(node.output[0], set())
    ]


def _forward(network: Network) -> Any:
    size = network.input_size
    signature = [tf.TensorSpec((None, size, size, 1), tf.float32, name="pixels")]

    @tf.function(input_signature=signature)
    def forward(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        values = network.model(pixels, training=False)
        return {name: tf.identity(value, name=name) for name, value in values.items()}

    return forward


class _Pictures:
    """Hands calibration pictures to the quantiser one by one."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures: Iterator[Pictures] = iter(pictures)

    def get_next(self) -> dict[str, Pictures] | None:
        """Return the next picture, ``None`` at the end."""
        picture = next(self._pictures, None)
        return None if picture is None else {"pixels": picture[None]}
