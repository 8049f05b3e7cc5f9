"""Which model artifact workers load, and with how many threads."""

from pathlib import Path

from fracture_site.settings.env import env_int, env_str

ML_MODEL_DIR = Path(
    env_str("ML_MODEL_DIR", str(Path(__file__).resolve().parents[2] / "ml" / "weights"))
)
ML_THREADS = env_int("ML_THREADS", default=1, minimum=1)
