"""The boxes over one image as a Grayscale Softcopy Presentation State that a reader can hide."""

import itertools
from collections.abc import Iterator

import numpy as np
from highdicom import pr
from highdicom.color import CIELabColor
from highdicom.content import ModalityLUTTransformation, PresentationLUTTransformation
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from diagnosis.interop.contracts import (
    Certainty,
    FindingForDicom,
    ImageResultForDicom,
    ImageVerdict,
    ResultForDicom,
    SourceImageForDicom,
)
from diagnosis.interop.dicom_header import (
    TRANSFER_SYNTAX,
    UTF8,
    derived_uid,
    equipment,
    image_series_uid,
    laterality,
    reference,
    stamp,
    text,
    uid_of,
)
from diagnosis.interop.dicom_sr import outline

SERIES_NUMBER = 9902
DASHES_A_SIDE = 6

_LAYERS = {
    Certainty.DEFINITE: pr.GraphicLayer(
        "AI DEFINITE", 1, "AI: fracture, solid boxes", CIELabColor(60.0, 70.0, 50.0)
    ),
    Certainty.SUSPICION: pr.GraphicLayer(
        "AI SUSPICION", 2, "AI: suspicion, dashed boxes", CIELabColor(80.0, 10.0, 75.0)
    ),
}
_READER_LAYER = pr.GraphicLayer(
    "READER", 4, "Boxes that the reader added", CIELabColor(70.0, -50.0, 40.0)
)
_NOTE_LAYER = pr.GraphicLayer("AI NOTE", 3, "AI: images without a box", CIELabColor(90.0, 0.0, 0.0))
_NOTES = {
    ImageVerdict.DEFINITE: "fracture, not located",
    ImageVerdict.SUSPICION: "suspicion, not located",
    ImageVerdict.NEGATIVE: "no fracture seen",
    ImageVerdict.CANNOT_ASSESS: "cannot assess",
}


def presentation_state(result: ResultForDicom, item: ImageResultForDicom) -> Dataset:
    """Return the presentation state of one grey image.

    Raises:
        ValueError: The image is in colour, which this kind of object cannot refer to.
    """
    image = item.image
    if image.samples_per_pixel != 1:
        raise ValueError("A grayscale presentation state needs a grey image.")
    source = reference(result, image)
    annotations = list(_annotations(result, item, source))
    used = {annotation.GraphicLayer for annotation in annotations}
    # With a presentation state this shape alone decides which end of the scale is bright.
    shape = "INVERSE" if image.photometric_interpretation == "MONOCHROME1" else "IDENTITY"
    dataset = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[source],
        series_instance_uid=image_series_uid(result, "pr", image),
        series_number=SERIES_NUMBER,
        sop_instance_uid=derived_uid(result.result_id, "pr", image.sop_instance_uid),
        instance_number=1 + result.images.index(item),
        content_label="AI",
        content_description="AI findings, not for primary diagnosis",
        graphic_annotations=annotations,
        graphic_layers=[
            layer
            for layer in (*_LAYERS.values(), _NOTE_LAYER, _READER_LAYER)
            if layer.GraphicLayer in used
        ],
        modality_lut_transformation=_rescale(image),
        voi_lut_transformations=_window(image),
        presentation_lut_transformation=PresentationLUTTransformation(shape),
        institution_name=text(result.institution) or None,
        series_description="AI boxes",
        specific_character_set=UTF8,
        transfer_syntax_uid=TRANSFER_SYNTAX,
        **equipment(result.algorithm),
    )
    dataset.Laterality = laterality(image)
    stamp(dataset, result.created_at)
    dataset.PresentationCreationDate = dataset.ContentDate
    dataset.PresentationCreationTime = dataset.ContentTime
    # The module of this object has no content date; stamp() writes it for all others.
    del dataset.ContentDate, dataset.ContentTime
    return dataset


def label(result: ResultForDicom, finding: FindingForDicom) -> str:
    """Return the words at a box."""
    if finding.probability is None:
        return "Reader"
    return f"AI {text(result.algorithm.label)} {finding.probability:.0%}"


def dashes(outline_points: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Yield a closed line as short ones: many viewers ignore a dashed line style."""
    for start, end in itertools.pairwise(outline_points):
        step = (end - start) / (2 * DASHES_A_SIDE - 1)
        for number in range(DASHES_A_SIDE):
            yield np.array([start + 2 * number * step, start + (2 * number + 1) * step])


def _annotations(
    result: ResultForDicom, item: ImageResultForDicom, source: Dataset
) -> Iterator[pr.GraphicAnnotation]:
    frame = 1 if item.image.is_multi_frame else None
    if not item.findings:
        yield pr.GraphicAnnotation([source], _NOTE_LAYER, frame, text_objects=[_note(result, item)])
    for number, finding in enumerate(item.findings, start=1):
        yield pr.GraphicAnnotation(
            [source],
            _READER_LAYER if finding.by_reader else _LAYERS[finding.certainty],
            frame,
            graphic_objects=_lines(item, finding, number),
            text_objects=[_words(result, item, finding)],
        )


def _lines(
    item: ImageResultForDicom, finding: FindingForDicom, number: int
) -> list[pr.GraphicObject]:
    box = outline(finding, item.image)
    lines = [box] if finding.certainty is Certainty.DEFINITE else list(dashes(box))
    return [
        pr.GraphicObject(
            pr.GraphicTypeValues.POLYLINE,
            line,
            units=pr.AnnotationUnitsValues.PIXEL,
            tracking_id=f"Finding {number}",
            tracking_uid=uid_of(finding.uid),
        )
        for line in lines
    ]


def _rescale(image: SourceImageForDicom) -> ModalityLUTTransformation | None:
    if image.rescale is None:
        return None
    slope, intercept = image.rescale
    return ModalityLUTTransformation(
        rescale_intercept=intercept, rescale_slope=slope, rescale_type="US"
    )


def _window(image: SourceImageForDicom) -> list[pr.SoftcopyVOILUTTransformation] | None:
    if image.window is None:
        return None
    center, width = image.window
    return [pr.SoftcopyVOILUTTransformation(window_center=center, window_width=width)]


def _words(
    result: ResultForDicom, item: ImageResultForDicom, finding: FindingForDicom
) -> pr.TextObject:
    left, top = outline(finding, item.image)[0]
    return pr.TextObject(
        label(result, finding),
        units=pr.AnnotationUnitsValues.PIXEL,
        anchor_point=(float(left), float(top)),
        anchor_point_visible=False,
    )


def summary(result: ResultForDicom, item: ImageResultForDicom) -> str:
    """Return the words for an image without a box, which must not pass for a clean one."""
    words = f"AI {text(result.algorithm.label)} {_NOTES[item.verdict]}"
    if item.probability is not None:
        words = f"{words} ({item.probability:.0%})"
    return words


def _note(result: ResultForDicom, item: ImageResultForDicom) -> pr.TextObject:
    return pr.TextObject(
        summary(result, item),
        units=pr.AnnotationUnitsValues.DISPLAY,
        bounding_box=(0.02, 0.02, 0.6, 0.07),
        text_justification=pr.TextJustificationValues.LEFT,
    )
