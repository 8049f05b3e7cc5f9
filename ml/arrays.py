"""Learned numbers beside a network: files of plain arrays, named by their hash, never code."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.contracts import ModelArtifactError


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> str:
    """Write arrays (or single numbers) to a compact file and return its sha256."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    path.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


@contextmanager
def open_arrays(path: Path, *, sha256: str) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """Give the arrays of a file that ``write_arrays`` wrote.

    Raises:
        ModelArtifactError: missing, altered, or not what the block reads from it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelArtifactError(f"cannot read {path.name}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelArtifactError(f"{path.name} is not the file that the manifest names")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            yield arrays
    except (ValueError, KeyError, OSError) as error:
        raise ModelArtifactError(f"{path.name} is malformed") from error
