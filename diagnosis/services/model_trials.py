"""A model from outside is loaded and run once in a limited child before anything relies on it.

The child has no network, bounded memory and time, and none of our secrets; see ``ml.limited``.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from fracture_site.common.errors import RefusedInputError, UnavailableError

ROOT: Final = Path(__file__).resolve().parents[2]
START: Final = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); "
    "sys.argv = sys.argv[2:]; runpy.run_module(sys.argv[0], run_name='__main__')"
)
ENVIRONMENT: Final = {
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "HOME": "/nonexistent",
}
TRIAL_SECONDS: Final = 180
MESSAGES: Final = {
    "model_contract_broken": _(
        "This is not a model of the kind that runs here: its input, outputs or manifest do not "
        "fit. See docs/runbooks/replace-the-model.md."
    ),
    "model_carries_code": _(
        "The file carries code (a Lambda layer, an unknown custom object or a pickle). Export it "
        "as ONNX or as a plain graph."
    ),
    "model_parity_failed": _(
        "The converted model answers differently from the original; it was not registered."
    ),
    "model_unreadable": _("The file cannot be read as a model of its kind."),
    "model_too_heavy": _("The model needs more memory or time than it may have."),
}


def model_try_out(*, folder: Path) -> dict[str, Any]:
    """Run the model of a folder over fixed pictures; returns its answers.

    Raises:
        RefusedInputError: ``model_contract_broken``, ``model_too_heavy``.
        UnavailableError: ``model_limits_unavailable``: this machine cannot lock the child in.
    """
    return child_run("ml.trial", str(folder), seconds=TRIAL_SECONDS)


def child_run(
    module: str, *arguments: str, seconds: int, python: str = sys.executable
) -> dict[str, Any]:
    """Run a module of ``ml`` that answers one JSON object, isolated, and return that.

    Raises:
        RefusedInputError: the child's code, or ``model_too_heavy`` when it did not end well.
        UnavailableError: ``model_limits_unavailable``, ``converter_missing``.
    """
    try:
        done = subprocess.run(  # noqa: S603  # an interpreter of ours and code of ours
            [python, "-I", "-B", "-c", START, str(ROOT), module, *arguments],
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _refused("model_too_heavy") from error
    except OSError as error:  # no such interpreter
        raise _unavailable("converter_missing") from error
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        raise _refused("model_too_heavy")
    answer: dict[str, Any] = json.loads(lines[-1])
    if answer["ok"]:
        return answer
    code = answer["code"]
    if code in MESSAGES:
        raise _refused(code, answer.get("detail", ""))
    raise _unavailable(code)


def _refused(code: str, why: str = "") -> RefusedInputError:
    return RefusedInputError(code, MESSAGES[code], extra={"why": why} if why else None)


def _unavailable(code: str) -> UnavailableError:
    texts = {
        "converter_missing": _(
            "The converter is not installed. Install requirements-convert.txt into an environment "
            "of its own and name its interpreter in ML_CONVERTER_PYTHON, or register an ONNX file."
        )
    }
    return UnavailableError(
        code, texts.get(code, _("This machine cannot lock the model in; nothing was loaded."))
    )
