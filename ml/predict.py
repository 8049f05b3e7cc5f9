"""Analyse image files from the command line, without Django or TensorFlow.

``python -m ml.predict PATH... [--json] [--csv FILE] [--overlay DIR] [--heatmap DIR]`` prints the
same predictions as the product; a folder stands for all pictures in it. Exit code 0: every file was
analysed (a picture that the model cannot assess is an analysis too); 2: a file or the model could
not be used, with a sentence on stderr, and all other files are done.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ml.contracts import ModelArtifactError, Prediction, UnreadableImageError
from ml.data.records import PICTURE_SUFFIXES
from ml.decoding import decode_image
from ml.predict_output import COLUMNS, as_json, as_row, as_text, overlay_of
from ml.predictor import WEIGHTS_FOLDER, FracturePredictor, load_predictor

EXIT_UNUSABLE = 2
_DICOM_MARK = (128, b"DICM")
_SENTENCES = {
    "archive": "is an archive; unpack it first",
    "damaged": "is damaged and cannot be decoded",
    "empty_file": "is empty",
    "no_pixel_data": "has no pixels",
    "not_an_image": "is not an image; use PNG, JPEG, TIFF or DICOM",
    "pdf": "is a PDF; use the PNG, JPEG, TIFF or DICOM image itself",
    "svg_or_html": "is a drawing or a web page; use PNG, JPEG, TIFF or DICOM",
    "too_large": "is too large",
    "too_many_frames": "has too many frames",
    "too_many_pixels": "has too many pixels",
    "too_small": "has too few pixels",
    "unsupported_kind": "is a kind of image that is not supported; use PNG, JPEG, TIFF or DICOM",
    "unsupported_transfer_syntax": "is compressed in a way that is not supported",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one file: a prediction, or the sentence why there is none."""

    path: Path
    prediction: Prediction | None = None
    pixels: npt.NDArray[np.generic] | None = None
    problem: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    named = [*arguments.paths, *arguments.image]
    if not named:
        parser.error("name a file or a folder")
    try:
        predictor = load_predictor(arguments.model, threads=arguments.threads)
    except ModelArtifactError as error:
        return _complain(f"The model cannot be used: {error}.")
    for folder in (arguments.heatmap, arguments.overlay):
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                return _complain(f"{folder} cannot be written to: {error.strerror}.")
    if arguments.csv is None:
        return _all(predictor, named, arguments, None)
    try:
        with arguments.csv.open("w", encoding="utf-8", newline="") as file:
            return _all(predictor, named, arguments, file)
    except OSError as error:
        return _complain(f"{arguments.csv} cannot be written to: {error.strerror}.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.predict", description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="file or folder")
    parser.add_argument("--image", nargs="+", type=Path, default=[], metavar="FILE")
    parser.add_argument("--model", type=Path, default=WEIGHTS_FOLDER, help="model folder")
    parser.add_argument("--frame", type=int, default=0, help="frame of a multi-frame file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one row a file here")
    parser.add_argument(
        "--overlay", type=Path, metavar="DIR", help="write PNG pictures with boxes and heat here"
    )
    parser.add_argument("--heatmap", type=Path, metavar="DIR", help="write grey PNG heatmaps here")
    return parser


def _all(
    predictor: FracturePredictor,
    named: Sequence[Path],
    arguments: argparse.Namespace,
    table: TextIO | None,
) -> int:
    """Analyse everything, one file after the other; return the exit code."""
    writer = None
    if table is not None:
        writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
        writer.writeheader()
    code = 0
    paths, empty = find_files(named)
    for folder in empty:
        code = _complain(f"{folder} holds no pictures.")
    names = _Names()
    # The bar is on stderr and only where somebody sees it.
    silent = None if len(paths) > 1 else True
    for path in tqdm(paths, unit="picture", disable=silent, leave=False):
        answer = _analyse(predictor, path, arguments.frame)
        if answer.prediction is None:
            code = _complain(answer.problem)
        else:
            _report(path, answer.prediction, answer.pixels, arguments, names)
        if writer is not None and answer.prediction is not None:
            writer.writerow(as_row(path, answer.prediction))
        elif writer is not None:
            writer.writerow({"file": path, "error": answer.problem})
    return code


def find_files(named: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the files to analyse in order, and the folders that hold none.

    In a folder files count that look like pictures by name, or are DICOM by content; hidden ones
    and what is not a picture are left alone. A file that is named itself is always taken.
    """
    files: list[Path] = []
    empty = []
    for path in named:
        if not path.is_dir():
            files.append(path)
            continue
        inside = [f for f in sorted(path.rglob("*")) if _is_picture(f.relative_to(path), f)]
        files += inside
        if not inside:
            empty.append(path)
    return files, empty


def _is_picture(relative: Path, path: Path) -> bool:
    if any(part.startswith(".") for part in relative.parts) or not path.is_file():
        return False
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            file.seek(_DICOM_MARK[0])
            return file.read(4) == _DICOM_MARK[1]
    except OSError:
        return False


def _analyse(predictor: FracturePredictor, path: Path, frame: int) -> Answer:
    try:
        encoded = path.read_bytes()
        prediction = predictor.predict(encoded, frame=frame)
        return Answer(path, prediction, decode_image(encoded).frames[frame])
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror or 'unknown error'}."
    except UnreadableImageError as error:
        problem = f"{path} {_SENTENCES.get(error.code, f'cannot be used ({error.code})')}."
    except IndexError:
        problem = f"{path} has no frame {frame}."
    return Answer(path, problem=problem)


def _report(
    path: Path,
    prediction: Prediction,
    pixels: npt.NDArray[np.generic] | None,
    arguments: argparse.Namespace,
    names: "_Names",
) -> None:
    written: dict[str, str] = {}
    stem = names.of(path)
    if arguments.heatmap is not None and prediction.heatmap is not None:
        target = arguments.heatmap / f"{stem}-heatmap.png"
        target.write_bytes(cv2.imencode(".png", prediction.heatmap)[1].tobytes())
        written["heatmap"] = str(target)
    if arguments.overlay is not None and pixels is not None:
        target = arguments.overlay / f"{stem}-overlay.png"
        overlay_of(pixels, prediction).save(target)
        written["overlay"] = str(target)
    if arguments.json:
        _say(json.dumps({"file": str(path), **as_json(prediction), **written}))
    else:
        _say(as_text(path, prediction))


class _Names:
    """Names for written files: two pictures of one name in two folders keep apart."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def of(self, path: Path) -> str:
        """Return the stem, with a number from the second time on."""
        count = self._used[path.stem] = self._used.get(path.stem, 0) + 1
        return path.stem if count == 1 else f"{path.stem}-{count}"


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stdout)


def _complain(text: str) -> int:
    tqdm.write(text, file=sys.stderr)
    return EXIT_UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
