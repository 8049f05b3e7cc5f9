"""What a sender says of a photograph of a film: that it is one, and where its corners are."""

import json
from typing import Final

from django.utils.translation import gettext_lazy as _

from diagnosis.ingest.results import FilmTask
from fracture_site.common.errors import RefusedInputError
from ml.film import checked_corners

FILM_PHOTO: Final = "film_photo"
_MAX_TEXT: Final = 1000


def film_task(*, capture: str, corners: str) -> FilmTask | None:
    """Return the task for an upload, ``None`` for a plain file.

    Args:
        capture: ``""`` or ``film_photo``.
        corners: JSON, four points ``[x, y]`` as shares of the photograph's width and height;
            empty lets the server look for the film.

    Raises:
        RefusedInputError: ``capture_unknown`` or ``corners_invalid``.
    """
    if not capture:
        return None
    if capture != FILM_PHOTO:
        raise RefusedInputError("capture_unknown", _("This way of taking a picture is unknown."))
    if not corners:
        return FilmTask()
    try:
        return FilmTask(corners=checked_corners(json.loads(corners[:_MAX_TEXT])))
    except (ValueError, TypeError) as error:
        raise RefusedInputError(
            "corners_invalid", _("Put the four marks on the four corners of the film.")
        ) from error
