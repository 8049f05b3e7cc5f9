"""What the limited process does with a photograph of a film: find, measure, straighten."""

from dataclasses import asdict

from diagnosis.ingest.renditions import THUMBNAIL_SIDE, WEB_SIDE, rendition, served_png, windowed
from diagnosis.ingest.results import (
    PNG,
    FilmProposal,
    FilmTask,
    IngestLimits,
    Processed,
    Refusal,
)
from ml.contracts import UnreadableImageError
from ml.decoding import DecodedImage, decode_image
from ml.film import Corners, FilmQuality, Gray, measure_film, straighten
from ml.film_corners import propose_corners

_PHOTO_FORMATS = ("jpeg", "png")


def film_look(data: bytes, limits: IngestLimits, task: FilmTask) -> FilmProposal:
    """Return where the film is and what is wrong with the photo; its size is not judged.

    Pages ask with a small copy of the photo.
    """
    photo = _photo(data, limits)[1]
    corners = task.corners or propose_corners(photo)
    if corners is None:
        return FilmProposal(None, ())
    quality = measure_film(straighten(photo, corners), corners, _shape(photo))
    problems = tuple(code for code in quality.problems if code != "photo_too_small")
    return FilmProposal(corners, problems)


def film_cut(data: bytes, limits: IngestLimits, task: FilmTask) -> Processed | Refusal:
    """Return the straightened film with its photograph, or why the photo cannot be used."""
    image, photo = _photo(data, limits)
    corners = task.corners or propose_corners(photo)
    if corners is None:
        return Refusal("film_not_found")
    film = straighten(photo, corners)
    quality = measure_film(film, corners, _shape(photo))
    if quality.problems:
        return Refusal(quality.problems[0])
    return Processed(
        format=image.format,
        modality=image.modality,
        width=film.shape[1],
        height=film.shape[0],
        bits=8,
        frame_count=1,
        was_color=image.was_color,
        warnings=(*image.warnings, "photo_of_film"),
        dicom=None,
        served=served_png(film),
        served_content_type=PNG,
        renditions=(rendition(film, index=0, side=WEB_SIDE),),
        thumbnail=rendition(film, index=0, side=THUMBNAIL_SIDE),
        film=_record(corners, quality, task),
        photo=rendition(photo, index=0, side=WEB_SIDE),
    )


def decoded(data: bytes, limits: IngestLimits) -> DecodedImage:
    """Decode a file within its limits."""
    if len(data) > limits.max_bytes:
        raise UnreadableImageError("too_large")
    return decode_image(
        data,
        max_pixels=limits.max_pixels,
        min_side=limits.min_side,
        max_frames=limits.max_frames,
    )


def _photo(data: bytes, limits: IngestLimits) -> tuple[DecodedImage, Gray]:
    image = decoded(data, limits)
    if image.format not in _PHOTO_FORMATS:
        raise UnreadableImageError("unsupported_kind", "a photograph is JPEG or PNG")
    return image, windowed(image.frames[0])


def _shape(photo: Gray) -> tuple[int, int]:
    return photo.shape[0], photo.shape[1]


def _record(corners: Corners, quality: FilmQuality, task: FilmTask) -> dict[str, object]:
    measured = {name: round(float(value), 4) for name, value in asdict(quality).items()}
    return {
        "corners": corners,
        "corners_by": "person" if task.corners else "proposal",
        "measured": measured,
    }
