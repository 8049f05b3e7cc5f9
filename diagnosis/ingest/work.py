"""What the limited process does with one file: decode, sanitise, make renditions."""

from diagnosis.ingest.film_work import decoded, film_cut, film_look
from diagnosis.ingest.renditions import (
    THUMBNAIL_SIDE,
    WEB_SIDE,
    reduced,
    rendition,
    served_png,
    served_tiff,
)
from diagnosis.ingest.results import (
    DICOM,
    PNG,
    TIFF,
    Answer,
    DicomAttributes,
    FilmTask,
    IngestLimits,
    Processed,
    Refusal,
    Rendition,
)
from diagnosis.ingest.sanitise import ServedDicom
from ml.contracts import UnreadableImageError
from ml.decoding import DecodedImage, Frame
from ml.decoding_common import reading_border
from ml.decoding_dicom import DicomFrames


def process(data: bytes, limits: IngestLimits, task: FilmTask | None = None) -> Answer:
    """Return the accepted image or the code with which it is refused; never raise."""
    try:
        with reading_border():
            if task is not None:
                return (
                    film_look(data, limits, task)
                    if task.only_look
                    else film_cut(data, limits, task)
                )
            return _process(data, limits)
    except UnreadableImageError as refused:
        return Refusal(refused.code)


def _process(data: bytes, limits: IngestLimits) -> Processed:
    image = decoded(data, limits)
    # The page's picture and the small one come from one reduction of the whole frame.
    first = reduced(image.frames[0], WEB_SIDE)
    served, content_type, renditions = _copies(data, image, first)
    return Processed(
        format=image.format,
        modality=image.modality,
        width=image.width,
        height=image.height,
        bits=image.bits,
        frame_count=image.frame_count,
        was_color=image.was_color,
        warnings=image.warnings,
        dicom=_attributes(image),
        served=served,
        served_content_type=content_type,
        renditions=renditions,
        thumbnail=rendition(first, index=0, side=THUMBNAIL_SIDE),
    )


def _copies(
    data: bytes, image: DecodedImage, first: Frame
) -> tuple[bytes, str, tuple[Rendition, ...]]:
    """Return the served copy, its content type and a rendition of each frame."""
    frames = image.frames
    if isinstance(frames, DicomFrames):
        copy, renditions = ServedDicom(data, frames), []
        for index in range(len(frames)):
            stored = frames.stored(index)  # decoded once, for the copy and for the page
            copy.add(stored)
            shown = first if index == 0 else frames.shown(stored)
            renditions.append(rendition(shown, index=index, side=WEB_SIDE))
        return copy.finish(), DICOM, tuple(renditions)
    pictures = (first if i == 0 else frame for i, frame in enumerate(frames))
    made = tuple(rendition(frame, index=i, side=WEB_SIDE) for i, frame in enumerate(pictures))
    if len(frames) == 1:
        return served_png(frames[0]), PNG, made
    return served_tiff(frames), TIFF, made


def _attributes(image: DecodedImage) -> DicomAttributes | None:
    if image.format != "dicom":
        return None
    return DicomAttributes(
        transfer_syntax_uid=image.transfer_syntax_uid,
        sop_class_uid=image.sop_class_uid,
        sop_instance_uid=image.sop_instance_uid,
        study_instance_uid=image.study_instance_uid,
        series_instance_uid=image.series_instance_uid,
        view_position=image.view_position,
        laterality=image.laterality,
        body_part_examined=image.body_part_examined,
        pixel_spacing=image.pixel_spacing,
        pixel_spacing_origin=image.pixel_spacing_origin,
        header=dict(image.header),
    )
