"""The image with boxes burned in, for archives that show nothing else."""

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from diagnosis.interop.contracts import (
    Certainty,
    FindingForDicom,
    ImageResultForDicom,
    ResultForDicom,
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
)
from diagnosis.interop.dicom_presentation import dashes, label, summary
from diagnosis.interop.dicom_sr import outline

SERIES_NUMBER = 9903
WARNING = "AI, not for primary diagnosis"

_COLORS = {Certainty.DEFINITE: (255, 64, 64), Certainty.SUSPICION: (255, 200, 40)}
_MARGIN = 6


def secondary_capture(
    result: ResultForDicom, item: ImageResultForDicom, pixels: NDArray[np.uint8]
) -> Dataset:
    """Return a colour copy with boxes and, in a strip below it, what it is and is not.

    Args:
        result: The study's result.
        item: The result of this image.
        pixels: The image ready for display (0 is black), grey or RGB, in its own size.

    Raises:
        ValueError: The pixels do not have the image's size.
    """
    image = item.image
    if pixels.shape[:2] != (image.rows, image.columns):
        raise ValueError("The pixels do not have the size of the image.")
    source = reference(result, image)
    dataset = SCImage(
        pixel_array=_burned(result, item, pixels),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        # The class wants a value; none is known, and below it is emptied (type 2C).
        patient_orientation=("L", "F"),
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=image_series_uid(result, "sc", image),
        series_number=SERIES_NUMBER,
        sop_instance_uid=derived_uid(result.result_id, "sc", image.sop_instance_uid),
        instance_number=1 + result.images.index(item),
        patient_id=source.PatientID,
        patient_name=source.PatientName,
        patient_birth_date=source.PatientBirthDate,
        patient_sex=source.PatientSex,
        accession_number=source.AccessionNumber,
        study_id=source.StudyID,
        study_date=source.StudyDate or None,
        study_time=source.StudyTime or None,
        referring_physician_name=source.ReferringPhysicianName,
        institution_name=text(result.institution) or None,
        series_description=WARNING,
        specific_character_set=UTF8,
        transfer_syntax_uid=TRANSFER_SYNTAX,
        **equipment(result.algorithm),
    )
    dataset.add_new("PatientOrientation", "CS", None)
    dataset.Laterality = laterality(image)
    dataset.BurnedInAnnotation = "YES"
    stamp(dataset, result.created_at)
    dataset.DateOfSecondaryCapture = dataset.ContentDate
    dataset.TimeOfSecondaryCapture = dataset.ContentTime
    dataset.DerivationDescription = f"{WARNING}; {text(result.algorithm.label)}"
    return dataset


def _burned(
    result: ResultForDicom, item: ImageResultForDicom, pixels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    size = max(12, min(height, width) // 40)
    font = ImageFont.load_default(size)
    lines = [WARNING, f"{text(result.algorithm.name)} {text(result.algorithm.label)}"]
    if not item.findings:
        lines.append(summary(result, item))
    widest = int(max(font.getlength(line) for line in lines))
    # The words stand below the image: nothing of the anatomy is covered, nothing is cut.
    strip = len(lines) * (size + _MARGIN) + 2 * _MARGIN
    canvas = Image.new("RGB", (max(width, widest + 2 * _MARGIN), height + strip))
    canvas.paste(Image.fromarray(pixels).convert("RGB"), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for finding in item.findings:
        _draw_box(draw, result, item, finding, font, max(2, min(height, width) // 300))
    for row, line in enumerate(lines):
        place = (_MARGIN, height + _MARGIN + row * (size + _MARGIN))
        draw.text(place, line, font=font, fill=(255, 255, 255))
    return np.asarray(canvas, dtype=np.uint8)


def _draw_box(
    draw: ImageDraw.ImageDraw,
    result: ResultForDicom,
    item: ImageResultForDicom,
    finding: FindingForDicom,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    thickness: int,
) -> None:
    color = _COLORS[finding.certainty]
    box = outline(finding, item.image)
    lines = [box] if finding.certainty is Certainty.DEFINITE else list(dashes(box))
    for line in lines:
        draw.line([(float(x), float(y)) for x, y in line], fill=color, width=thickness)
    left, top = (float(v) for v in box[0])
    _, _, _, text_height = font.getbbox("A")
    above = max(0.0, top - text_height - _MARGIN)
    words = label(result, finding)
    left = max(0.0, min(left, item.image.columns - font.getlength(words) - _MARGIN))
    draw.text((left, above), words, font=font, fill=color)
