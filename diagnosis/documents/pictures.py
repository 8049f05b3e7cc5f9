"""Checks the report's pictures and turns them into files that PDF/A accepts."""

import io
import warnings

from PIL import Image, ImageOps

from diagnosis.documents.contracts import Picture
from diagnosis.documents.errors import DocumentError

MAX_PIXELS = 60_000_000
MAX_EDGE = 2200  # pixels on the long side: about 330 dpi over the width of a page
_READABLE = ("PNG", "JPEG")
_HARMLESS = {
    "jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "progressive", "progression",
}  # fmt: skip


def _can_be_embedded(image: Image.Image) -> bool:
    """Tell whether the bytes may go in as they are: 8-bit grey or RGB and nothing but pixels.

    CMYK and colour profiles break PDF/A, a turned JPEG would leave its boxes behind, and comments
    or EXIF of a JPEG would travel along with the patient's report.
    """
    segments = set(getattr(image, "app", {}))
    return (
        image.mode in {"L", "RGB"}
        and max(image.size) <= MAX_EDGE
        and set(image.info) <= _HARMLESS
        and segments <= {"APP0"}
    )


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in {"1", "L", "LA", "La", "F"}:
        return image.convert("L")
    return image.convert("RGB")


def _open(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(io.BytesIO(content), formats=_READABLE)
    if image.width * image.height > MAX_PIXELS:
        raise DocumentError("document_image_too_large")
    image.load()
    return image


def _encode(image: Image.Image, kind: str) -> bytes:
    bare = Image.new(image.mode, image.size)
    bare.paste(image)  # a new image carries none of the old one's metadata
    target = io.BytesIO()
    if kind == "jpeg":
        bare.save(target, "JPEG", quality=92)
    else:
        bare.save(target, "PNG", compress_level=4)
    return target.getvalue()


def embeddable_picture(picture: Picture) -> tuple[bytes, str, tuple[int, int]]:
    """Return the bytes to embed, their file suffix, and the upright size that boxes refer to.

    Raises:
        DocumentError: the bytes are no whole PNG or JPEG, or have too many pixels.
    """
    try:
        image = _open(picture.content)
        kind = (image.format or "png").lower()
        if _can_be_embedded(image):
            return picture.content, kind, image.size
        upright = ImageOps.exif_transpose(image)
        size = upright.size
        small = _to_eight_bits(upright)
        small.thumbnail((MAX_EDGE, MAX_EDGE), Image.Resampling.LANCZOS)
        return _encode(small, kind), kind, size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DocumentError("document_image_unreadable") from error
