"""Keras, SavedModel and TensorFlow Lite files become ONNX through the optional converter.

The product itself has no TensorFlow: the converter's packages live in an environment of their own,
and its process is locked in like every process that loads a file from outside.
"""

from pathlib import Path
from typing import Any, Final

from django.conf import settings

from diagnosis.services.model_trials import child_run
from fracture_site.common.errors import RefusedInputError

CONVERSION_SECONDS: Final = 1800


def model_convert(*, source: Path, target: Path, input_size: int) -> dict[str, Any]:
    """Write the model as ONNX and return what the manifest must say of it.

    Raises:
        RefusedInputError: ``model_carries_code``, ``model_parity_failed``, ``model_unreadable``,
            ``model_contract_broken``, ``model_too_heavy``.
        UnavailableError: ``converter_missing``, ``model_limits_unavailable``.
        FileNotFoundError: there is no such file.
    """
    if not source.exists():
        raise FileNotFoundError(2, "no such file", str(source))
    if not 0 < input_size <= 4096:
        raise RefusedInputError("model_contract_broken")
    answer = child_run(
        "ml.convert",
        str(source.resolve()),
        str(target),
        str(input_size),
        seconds=CONVERSION_SECONDS,
        python=settings.ML_CONVERTER_PYTHON,
    )
    return {key: answer[key] for key in ("sha256", "bytes", "parity")}
