"""A version's files: stored once under their sha256, put together as a folder on each host.

The folder is the model folder that ``ml`` loads (manifest and the files that it names). It is built
beside its place and moved there whole; every byte that came from storage is checked first, and the
runtime checks the weights again when it loads them.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from pathlib import Path

from django.conf import settings

from diagnosis.inference import (
    ModelArtifactError,
    ModelPackage,
    get_predictor,
    manifest_files,
    read_package,
)
from diagnosis.models import ModelVersion
from diagnosis.storage import artifact_exists, artifact_key, artifact_put, object_read

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


def model_files_store(package: ModelPackage) -> None:
    """Store the package's files; safe to repeat.

    Raises:
        ModelArtifactError: a file changed after the package was read.
        OSError: storage did not take it.
    """
    for sha256, path in package.files.items():
        if artifact_put(path.read_bytes()) != sha256:
            raise ModelArtifactError(f"{path.name} changed meanwhile")


def model_files_stored(version: ModelVersion) -> bool:
    """Tell whether every file that the version's manifest names is in storage.

    Raises:
        OSError: the store does not answer.
    """
    named = manifest_files(version.manifest)
    return bool(named) and all(artifact_exists(sha256) for sha256 in named)


def model_folder(version: ModelVersion) -> Path:
    """Return this host's folder of the version, fetched and checked when it is not there yet.

    Raises:
        ModelArtifactError: the artifact was never stored, is missing, or has a wrong hash.
        OSError: storage did not answer.
    """
    folder = Path(settings.ML_CACHE_DIR) / str(version.pk)
    if not folder.is_dir():
        _fetch(version, folder)
    return folder


def model_usable(version: ModelVersion) -> bool:
    """Tell whether this process can run the version; what is wrong is logged.

    A damaged folder is thrown away, so that the next try fetches it again.
    """
    try:
        folder = model_folder(version)
        try:
            get_predictor(folder)
        except ModelArtifactError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except (ModelArtifactError, OSError):
        logger.exception("a model cannot be used", extra={"model_version_id": version.pk})
        return False
    return True


def _fetch(version: ModelVersion, folder: Path) -> None:
    named = manifest_files(version.manifest)
    if not named:
        raise ModelArtifactError("the version has no stored artifact: run model_sync")
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".building-"))
    try:
        for sha256, name in named.items():
            try:
                data = object_read(artifact_key(sha256))
            except FileNotFoundError as error:
                raise ModelArtifactError("a file of the model is not in storage") from error
            if hashlib.sha256(data).hexdigest() != sha256:
                raise ModelArtifactError("a stored file of the model has a wrong sha256")
            (building / name).write_bytes(data)
        (building / MANIFEST).write_text(json.dumps(version.manifest), encoding="utf-8")
        _check_identity(version, read_package(building))
        try:
            building.replace(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was faster
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _check_identity(version: ModelVersion, package: ModelPackage) -> None:
    """Refuse a row whose columns are not what its own manifest says."""
    identity = package.identity
    for name in (
        "name",
        "version",
        "sha256",
        "preprocessing_version",
        "calibration_id",
        "threshold_suspicion",
        "threshold_definite",
    ):
        if getattr(version, name) != getattr(identity, name):
            raise ModelArtifactError(f"the registered {name} is not that of the manifest")
