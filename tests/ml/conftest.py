"""Leave the tests that need TensorFlow out where it is not installed."""

from importlib.util import find_spec

# Run them where training is installed: python -m pytest --noconftest -c /dev/null --rootdir .
_TRAINING = [
    "test_classifier_training.py",
    "test_convert.py",
    "test_detector_training.py",
    "test_export_formats.py",
    "test_platform_export_training.py",
]
collect_ignore = [] if find_spec("tensorflow") else _TRAINING
