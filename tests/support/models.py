"""Model folders for tests: the shipped weights under other names, thresholds and coverage."""

import json
import shutil
from pathlib import Path

from ml.predictor import WEIGHTS_FOLDER


def model_folder(target: Path, **changes) -> Path:
    """Copy the shipped model and change its manifest; a value of ``None`` removes a key."""
    folder = Path(shutil.copytree(WEIGHTS_FOLDER, target))
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in manifest.items() if v is not None}))
    return folder
