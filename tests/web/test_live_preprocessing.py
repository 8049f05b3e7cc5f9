"""The browser prepares and checks a picture as Python does: the same crop, the same pixels."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ml.data.synthetic import synthetic_radiograph
from ml.preprocessing import prepare
from ml.quality import assess, measure
from tests.ml.pictures import real_radiographs

ROOT = Path(__file__).resolve().parents[2]
SITE = "http://live.test"
Picture = npt.NDArray[np.uint8]

RUN = """async ([name, width, height, packed, size]) => {
  const pixels = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const module = await import(`/static/js/${name}.js`);
  const image = {pixels, width, height};
  if (name === "live-quality") return {measured: module.measure(image), reasons: module.assess(image)};
  const {pixels: values, geometry, paddingFound} = module.prepare(image, size);
  const bytes = new Uint8Array(values.buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return {values: btoa(text), crop: geometry.crop, scale: geometry.scale, pad: [geometry.padX, geometry.padY], paddingFound};
}"""  # noqa: E501


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """Return a page that can load the site's modules."""
    context = chromium.new_context()

    def serve(route: Any) -> None:
        path = route.request.url.removeprefix(SITE)
        if path == "/":
            return route.fulfill(body="<!doctype html>", content_type="text/html")
        body = (ROOT / path.lstrip("/")).read_bytes()
        return route.fulfill(body=body, content_type="text/javascript")

    context.route("**/*", serve)
    page = context.new_page()
    page.goto(SITE + "/")
    yield page
    context.close()


def run(page: Any, module: str, picture: Picture, size: int = 384) -> dict[str, Any]:
    height, width = picture.shape
    packed = base64.b64encode(picture.tobytes()).decode()
    return dict(page.evaluate(RUN, [module, width, height, packed, size]))


def drawn(seed: int, width: int, height: int) -> Picture:
    """A synthetic radiograph of an odd size with grain, so that every rounding shows."""
    film = synthetic_radiograph(seed, region="forearm", fractured=True).pixels.astype(np.float64)
    film = cv2.resize(film / film.max() * 255, (width, height))
    grain = np.random.default_rng(seed).integers(-8, 9, film.shape)
    return np.asarray(np.clip(film + grain, 0, 255), np.uint8)


def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def cut_off() -> Picture:
    picture = drawn(3, 800, 700)
    picture[500:] = 128
    return picture


PICTURES = {
    "enlarged": lambda: drawn(1, 300, 260),
    "shrunk by two": lambda: drawn(2, 768, 768),
    "shrunk by four": lambda: drawn(3, 1536, 1536),
    "odd": lambda: drawn(4, 1001, 1000),
    "large": lambda: drawn(5, 1811, 2203),
    "narrow": lambda: drawn(6, 130, 900),
    "one side as the input": lambda: drawn(7, 384, 300),
    "one pixel beyond the search": lambda: drawn(8, 193, 192),
    "too small to search": lambda: drawn(9, 400, 30),
    "cut-off JPEG": cut_off,
    "noise": lambda: np.random.default_rng(1).integers(0, 256, (500, 700)).astype(np.uint8),
    "one grey": lambda: np.full((300, 400), 77, np.uint8),
    "fill grey alone": lambda: np.full((300, 400), 128, np.uint8),
}


def real_pictures() -> dict[str, Picture]:
    return {path.name: np.array(Image.open(path).convert("L")) for path in real_radiographs(12)}


def test_every_prepared_pixel_is_the_one_that_python_prepares(page: Any) -> None:
    pictures = {name: make() for name, make in PICTURES.items()} | real_pictures()
    for name, picture in pictures.items():
        expected = prepare(picture)
        found = run(page, "live-preprocessing", picture)
        crop, geometry = expected.geometry.crop, expected.geometry
        values = np.frombuffer(base64.b64decode(found["values"]), np.float32).reshape(384, 384)

        assert found["crop"] == {
            "left": crop.left, "top": crop.top, "right": crop.right, "bottom": crop.bottom
        }, name  # fmt: skip
        assert (found["scale"], *found["pad"]) == (geometry.scale, geometry.pad_x, geometry.pad_y)
        assert found["paddingFound"] == expected.padding_found, name
        assert np.array_equal(values, expected.pixels), name


def test_another_input_size_of_another_model_is_followed(page: Any) -> None:
    picture = drawn(11, 900, 640)
    found = run(page, "live-preprocessing", picture, size=448)
    values = np.frombuffer(base64.b64decode(found["values"]), np.float32).reshape(448, 448)

    assert np.array_equal(values, prepare(picture, input_size=448).pixels)


def test_the_simple_checks_say_what_python_says(page: Any) -> None:
    film = drawn(12, 700, 900)
    page_of_text = np.full((700, 600), 255, np.uint8)
    for row in range(40, 680, 26):
        cv2.putText(page_of_text, "no acute osseous abnormality", (30, row), 0, 0.7, 0, 1)
    hostile = {
        "black": np.zeros((300, 300), np.uint8),
        "thumbnail": film[:100, :120].copy(),
        "dark": (film * 0.08).astype(np.uint8),
        "bright": (255 - film * 0.2).astype(np.uint8),
        "soft": cv2.GaussianBlur(film, (0, 0), 6),
        "text": page_of_text,
        "noise": PICTURES["noise"](),
        "cut off": cut_off(),
        "film": film,
    }
    said = set()
    for name, picture in (hostile | real_pictures()).items():
        found = run(page, "live-quality", picture)
        assert tuple(found["reasons"]) == assess(picture), name
        said.update(found["reasons"])
        if name == "thumbnail":
            continue
        expected = measure(picture)
        ours = {snake(key): value for key, value in found["measured"].items()}
        theirs = {key: getattr(expected, key) for key in ours}
        assert len(ours) == 7
        assert ours == pytest.approx(theirs, abs=2e-5), name
    assert said == {"blank", "too_small", "too_dark", "too_bright", "blurred", "not_a_radiograph"}
