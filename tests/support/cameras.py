"""A camera for Chromium that shows one picture, and radiographs to show."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.data.synthetic import synthetic_radiograph
from tests.ml.pictures import REAL_FOLDER
from tests.support.browser import chromium_path

Picture = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 1280, 720


def film_in_view(picture: Picture) -> Picture:
    """Return a camera's frame: the film in the middle of a dark room."""
    frame = np.zeros((HEIGHT, WIDTH), np.uint8)
    factor = min(0.96 * HEIGHT / picture.shape[0], 0.96 * WIDTH / picture.shape[1])
    film = cv2.resize(picture, None, fx=factor, fy=factor)
    top, left = (HEIGHT - film.shape[0]) // 2, (WIDTH - film.shape[1]) // 2
    frame[top : top + film.shape[0], left : left + film.shape[1]] = film
    return frame


def camera_file(path: Path, frame: Picture) -> Path:
    """Write what Chromium's fake camera plays again and again: raw YUV 4:2:0, no loss."""
    luma = np.rint(16 + frame.astype(np.float64) * 219 / 255).astype(np.uint8)
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8).tobytes()
    header = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420\n".encode()
    path.write_bytes(header + b"FRAME\n" + luma.tobytes() + chroma + chroma)
    return path


def camera_arguments(film: Path) -> list[str]:
    """Return what makes a file the only camera of Chromium, and nobody is asked about it."""
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]


@contextmanager
def browser_with_camera(chromium: Any, film: Path) -> Iterator[Any]:
    """Run a second browser whose only camera plays a file."""
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", *camera_arguments(film)]
    browser = chromium.browser_type.launch(executable_path=chromium_path(), args=arguments)
    yield browser
    browser.close()


def fractured_radiographs(count: int) -> tuple[list[Picture], bool]:
    """Return pictures of broken hands, of any part of the split, and whether they are real."""
    manifest = REAL_FOLDER / "manifest.csv"
    if not manifest.is_file():
        return [synthetic(seed, fractured=True) for seed in range(count)], False
    rows = [row for row in _rows(manifest) if row["fractured"] == "1" and row["region"] == "hand"]
    step = max(1, len(rows) // count)
    names = [row["image_id"] for row in rows[::step][:count]]
    return [np.array(Image.open(REAL_FOLDER / "images" / n).convert("L")) for n in names], True


def synthetic(seed: int, *, fractured: bool) -> Picture:
    """Return a drawn radiograph with eight bits."""
    region = ("forearm", "leg")[seed % 2]
    film = synthetic_radiograph(seed, region=region, fractured=fractured).pixels
    return np.asarray(film.astype(np.float64) / max(1, int(film.max())) * 255, np.uint8)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
