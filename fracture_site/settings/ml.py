"""The model that comes with the software, where workers keep models, and their threads."""

import sys
from pathlib import Path

from fracture_site.settings.env import env_int, env_str

ML_MODEL_DIR = Path(
    env_str("ML_MODEL_DIR", str(Path(__file__).resolve().parents[2] / "ml" / "weights"))
)
ML_THREADS = env_int("ML_THREADS", default=1, minimum=1)
# Registered models lie in object storage; each host keeps the ones that it runs here.
ML_CACHE_DIR = Path(
    env_str("ML_CACHE_DIR", str(Path(__file__).resolve().parents[2] / "var" / "models"))
)
# The interpreter that has requirements-convert.txt, to register files other than ONNX.
ML_CONVERTER_PYTHON = env_str("ML_CONVERTER_PYTHON", sys.executable)
