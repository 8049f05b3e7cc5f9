"""Try a model folder out, once, in a process of its own that has given everything up.

Prints one JSON object: ``{"ok": true, "answers": [...], "milliseconds": ...}``, or
``{"ok": false, "code": ..., "detail": ...}``. The pictures are synthetic, so that every machine
asks the same and nothing of a patient is needed.
"""

import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ml.contracts import ModelArtifactError
from ml.data.synthetic import synthetic_radiograph, to_png
from ml.limited import Limits, UnlimitedError, restrict
from ml.predictor import Examination, FracturePredictor, load_predictor

PICTURES: Final = 4
LIMITS: Final = Limits(memory_bytes=6 * 2**30, cpu_seconds=120)


def try_out(folder: Path) -> dict[str, Any]:
    """Return what the model says about the fixed pictures.

    Raises:
        ModelArtifactError: it is missing, altered, or breaks the contract of its outputs.
    """
    predictor = load_predictor(folder)
    answers, took = [], []
    for seed in range(1, PICTURES + 1):
        picture = synthetic_radiograph(seed).pixels
        _check(predictor, predictor.examine(picture))
        prediction = predictor.predict(to_png(picture))
        answers.append({"verdict": prediction.verdict, "probability": prediction.probability})
        took.append(float(prediction.timings_ms["total"]))
    return {"ok": True, "answers": answers, "milliseconds": round(statistics.median(took), 1)}


def _check(predictor: FracturePredictor, examination: Examination) -> None:
    """Refuse outputs that have the right names and the wrong shapes or values."""
    manifest = predictor.manifest
    if examination.regions.shape != (len(manifest.regions),):
        raise ModelArtifactError("the output region has another length than the manifest's regions")
    if examination.body_regions.shape != (len(manifest.body_regions),):
        raise ModelArtifactError("the output body_region has another length than the manifest's")
    if not math.isfinite(examination.evidence) or not np.isfinite(examination.fracture_map).all():
        raise ModelArtifactError("the outputs are not finite numbers")


def main(argv: Sequence[str] | None = None) -> int:
    """Restrict this process, then try the folder out."""
    [folder] = sys.argv[1:] if argv is None else argv
    try:
        restrict(LIMITS)
        answer = try_out(Path(folder))
    except UnlimitedError as error:
        answer = {"ok": False, "code": "model_limits_unavailable", "detail": str(error)}
    except ModelArtifactError as error:
        answer = {"ok": False, "code": "model_contract_broken", "detail": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a broken graph makes of our code
        answer = {"ok": False, "code": "model_contract_broken", "detail": type(error).__name__}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
