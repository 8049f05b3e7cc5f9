"""All data set formats by name."""

import argparse
import csv
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from ml.data.annotations import read_coco, read_yolo
from ml.data.fracatlas_published import read_published_fracatlas
from ml.data.layouts import read_class_folders, read_manifest_folder, read_mura, read_rsna
from ml.data.platform_export import read_platform_export
from ml.data.records import DatasetError, Reading

FORMATS: Final[Mapping[str, Callable[[Path, Collection[str]], Reading]]] = {
    "coco": read_coco,
    "folders": read_class_folders,
    "fracatlas": read_published_fracatlas,
    "manifest": read_manifest_folder,
    "mura": read_mura,
    "platform": read_platform_export,
    "rsna": read_rsna,
    "yolo": read_yolo,
}


def read_dataset(name: str, path: Path, fracture_classes: Collection[str] = ()) -> Reading:
    """Read a data set.

    Args:
        name: one of ``FORMATS``.
        path: its folder; for COCO and RSNA also the one file with the labels.
        fracture_classes: which classes mean a fracture, where names do not tell.

    Raises:
        DatasetError: there is no such data at this path.
    """
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    try:
        return FORMATS[name](path, fracture_classes)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or 'cannot be read'}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: a label file is not readable as text") from error


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a data set."""
    parser.add_argument("path", type=Path)
    parser.add_argument("--format", choices=sorted(FORMATS), required=True)
    parser.add_argument(
        "--fracture-class",
        action="append",
        default=[],
        metavar="NAME",
        help="a class that means a fracture (may be repeated); guessed from the names otherwise",
    )
