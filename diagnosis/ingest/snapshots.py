"""A picture that a browser made of the viewer, written anew before it is trusted."""

import io
from typing import Final

from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from fracture_site.common.errors import RefusedInputError, TooLargeError

MAX_BYTES: Final = 16 * 2**20
MAX_SIDE: Final = 4096
PNG: Final = b"\x89PNG\r\n\x1a\n"


def snapshot_rewritten(data: bytes) -> tuple[bytes, int, int]:
    """Return the picture as a new PNG without metadata, its width and height.

    Only PNG is tried, and its size is read before a pixel is decoded.

    Raises:
        TooLargeError: ``too_large``.
        RefusedInputError: ``not_an_image``.
    """
    if len(data) > MAX_BYTES:
        raise TooLargeError("too_large", _("This picture is too large. Make the window smaller."))
    refused = RefusedInputError("not_an_image", _("The picture could not be kept. Try again."))
    if not data.startswith(PNG):
        raise refused
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if max(picture.size) > MAX_SIDE:
                raise TooLargeError(
                    "too_large", _("This picture is too large. Make the window smaller.")
                )
            clean = Image.new("RGB", picture.size)
            clean.paste(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise refused from error
    out = io.BytesIO()
    clean.save(out, "PNG", optimize=False)
    return out.getvalue(), *clean.size
