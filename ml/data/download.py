"""Fetch a public data set and prepare it: ``python -m ml.data.download fracatlas --out DIR``.

Fetches the pinned archive (continues where an earlier try broke off), checks size and hashes,
unpacks it safely and writes ``manifest.csv``, ``boxes.csv`` and ``images`` below ``DIR``. Size and
MD5 are the publisher's; the SHA-256 is that of your first download, kept in ``download.lock.json``
(trust on first use). Exit status 2: it cannot be done; 130: stopped, the same command continues.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ml.data.fetch import DownloadError, Source, fetch
from ml.data.fracatlas_published import read_published_fracatlas
from ml.data.manifest_writer import write_manifest_folder
from ml.data.records import DatasetError, Reading
from ml.data.unpack import UnsafeArchiveError, unpack

EXIT_IMPOSSIBLE = 2
EXIT_STOPPED = 130


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that can be fetched, and how it is read."""

    source: Source
    read: Callable[[Path], Reading]
    attribution: str


def _folder_of(root: Path, name: str) -> Path:
    """Return the folder that holds a file: archives differ in what lies around it."""
    found = min(root.rglob(name), key=lambda path: len(path.parts), default=None)
    if found is None:
        raise DatasetError(f"{root}: no {name}")
    return found.parent


DATASETS: Final[Mapping[str, Dataset]] = {
    "fracatlas": Dataset(
        # Version 7 of 10.6084/m9.figshare.22363012; another version has another file number.
        Source(
            name="FracAtlas.zip",
            url="https://ndownloader.figshare.com/files/65518038",
            size=338_436_460,
            md5="fe9da2c7c285915ebee69dfdab8fd396",
            page="https://doi.org/10.6084/m9.figshare.22363012.v7",
            licence="CC BY 4.0",
        ),
        lambda folder: read_published_fracatlas(_folder_of(folder, "dataset.csv"), ()),
        "Abedeen I. et al., FracAtlas: A Dataset for Fracture Classification, Localization and "
        "Segmentation of Musculoskeletal Radiographs, Scientific Data 10, 521 (2023), "
        "doi 10.1038/s41597-023-02432-4. Name it wherever a model trained on it is shipped.",
    )
}


def download(dataset: Dataset, out: Path) -> Reading:
    """Fetch, unpack and prepare a data set; return what its reader found.

    Raises:
        DownloadError: it cannot be fetched, or is not what was pinned.
        UnsafeArchiveError: it cannot be unpacked.
        DatasetError: what was unpacked is not the data set.
        OSError: the folder cannot be written to.
    """
    archive = fetch(dataset.source, out / "download")
    unpacked = out / "published"
    # Unpacked anew: the archive was checked, what lies there may have been changed.
    shutil.rmtree(unpacked, ignore_errors=True)
    found = dataset.read(unpack(archive, unpacked))
    write_manifest_folder(found.records, out)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml.data.download", description=__doc__)
    parser.add_argument("dataset", choices=sorted(DATASETS))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    arguments = parser.parse_args(argv)
    dataset = DATASETS[arguments.dataset]
    try:
        found = download(dataset, arguments.out)
    except (DownloadError, UnsafeArchiveError, DatasetError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_IMPOSSIBLE
    except OSError as error:
        sys.stderr.write(f"{error.filename or arguments.out}: {error.strerror}\n")
        return EXIT_IMPOSSIBLE
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. The same command continues.\n")
        return EXIT_STOPPED
    fractured = sum(record.fractured for record in found.records)
    lock = arguments.out / "download" / "download.lock.json"
    lines = [
        f"{len(found.records)} pictures, {fractured} with fractures, in {arguments.out}",
        f"{len(found.problems)} problems in the labels: python -m ml.data.check shows them",
        f"Size and MD5 are the publisher's; the SHA-256 of this first download is in {lock}",
        f"Licence {dataset.source.licence}. {dataset.attribution}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
