"""Run an ONNX file on the CPU with ONNX Runtime, after its hash was checked."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ml.contracts import ModelArtifactError
from ml.runtimes.base import Outputs


class OnnxRuntime:
    """An ONNX Runtime session whose file is exactly the one that its manifest names."""

    def __init__(self, path: Path, *, sha256: str, threads: int = 1) -> None:
        """Read, check and load the file.

        Raises:
            ModelArtifactError: missing, altered, not ONNX, or not a one-input network.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelArtifactError(f"cannot read the model file {path.name}") from error
        actual = hashlib.sha256(data).hexdigest()
        if actual != sha256:
            raise ModelArtifactError(
                f"{path.name} has sha256 {actual}, the manifest says {sha256}: not loaded"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads starve the neighbour worker (17 -> 56 ms measured with two).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            # The bytes that were hashed are the bytes that are loaded.
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except (RuntimeError, ValueError) as error:
            raise ModelArtifactError(f"{path.name} is not a model ONNX Runtime can load") from error
        except Exception as error:
            raise ModelArtifactError(f"{path.name} is not a model ONNX Runtime can load") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelArtifactError(f"{path.name} has {len(inputs)} inputs, expected one")
        self._input = inputs[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]

    @property
    def output_names(self) -> frozenset[str]:
        """Names of what ``run`` returns."""
        return frozenset(self._outputs)

    @property
    def input_size(self) -> int:
        """Side of the square input.

        Raises:
            ModelArtifactError: the file does not fix one.
        """
        size = self._session.get_inputs()[0].shape[1]
        if not isinstance(size, int):
            raise ModelArtifactError("the network's input has no fixed size")
        return size

    def run(self, pixels: npt.NDArray[np.float32]) -> Outputs:
        """Run prepared pictures ``(n, size, size)``, -1 to 1."""
        values = self._session.run(self._outputs, {self._input: pixels[..., None]})
        return {
            name: np.asarray(value, np.float32)
            for name, value in zip(self._outputs, values, strict=True)
        }
