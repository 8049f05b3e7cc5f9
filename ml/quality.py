"""Is this something the model may judge? Simple, explainable checks on the decoded pixels.

Each refusal has a stable code and a reason a reader can see for themselves. The limits were set on
3,443 real limb radiographs so that together they refuse fewer than 2 % of them; the figures are in
the model card. What passes here still has to pass the comparison of features (``ml.novelty``).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from ml.preprocessing import GrayImage, find_content

REASONS = (
    "too_small",  # fewer pixels than a fracture line needs
    "blank",  # no contrast: an empty exposure or a blank page
    "too_dark",  # nearly all signal in the lowest part of the range
    "too_bright",  # nearly all signal in the highest part of the range
    "blurred",  # no fine detail: fracture lines cannot be seen either
    "not_a_radiograph",  # photograph, text, screen contents, noise or unlike any radiograph learned
    "wrong_body_part",  # chest, skull, spine, abdomen, teeth: set by the learned gate
    "cross_section",  # a slice of CT, MR or ultrasound in a file that does not say so: likewise
    "no_model_for_modality",  # CT, MR ... by what the file says: set by the predictor
)

# Limits, each with what 3,443 real limb radiographs measure (lowest or highest 0.1 %) and why. They
# leave room for other machines: inverted, noisy (8 of 255 grey values), softer and closer copies
# of real films must pass too.
SHORTEST_SIDE = 128  # real: 181 and up; below, a 25-pixel fracture is a few pixels at best
_MIN_CONTRAST = 0.08  # real: 0.42; an empty exposure or page
_MIN_BRIGHT_LEVEL = 0.14  # real: 0.42; even bone is nearly black
_MAX_DARK_LEVEL = 0.82  # real: 0.28, inverted up to 0.8; nearly everything is white
_MAX_MARKS_CONTRAST = 0.5  # overexposed: 0.15; more on white is ink, a drawing, a thing on paper
_MIN_SHARPNESS = 0.007  # real: 0.015; a blur of 2.5 pixels on a small film gives 0.0067
_MAX_GRAIN = 0.70  # real: 0.14, noisy copies up to 0.56; pure noise is 1.1
_MAX_FLAT_SHARE = 0.90  # real: 0.80; areas filled with one colour: a screen, a drawing
_MAX_JUMP_SHARE = 0.02  # real: 0.011; hard edges everywhere: text, bar codes, line drawings
_ANALYSIS_SIDE = 512


@dataclass(frozen=True, slots=True)
class Measurements:
    """What the checks look at; grey values as a share of the full range.

    Attributes:
        shorter_side: pixels.
        contrast: 99.5th minus 0.5th percentile.
        bright_level: 99.5th percentile.
        dark_level: 5th percentile.
        sharpness: 98th percentile of the detail finer than two pixels, as a share of the contrast.
        grain: how unlike neighbouring pixels are, 0 (smooth) to about 1 (noise).
        flat_share: of the pixels neither black nor white, how many equal their neighbour exactly.
        jump_share: share of neighbours that differ by more than a third of the contrast.
    """

    shorter_side: int
    contrast: float
    bright_level: float
    dark_level: float
    sharpness: float
    grain: float
    flat_share: float
    jump_share: float


def assess(
    image: GrayImage, *, has_color: bool = False, found: Measurements | None = None
) -> tuple[str, ...]:
    """Return why a frame cannot be assessed, empty when it can.

    Args:
        image: ``(h, w)``, ``uint8`` or ``uint16`` using the full range of its type.
        has_color: the source had real chroma, which no radiograph has.
        found: what ``measure`` says of the image, where it was asked already.
    """
    if min(image.shape) < SHORTEST_SIDE:
        return ("too_small",)
    found = found or measure(image)
    if found.contrast < _MIN_CONTRAST:
        if found.bright_level < _MIN_BRIGHT_LEVEL and found.bright_level > 0.0:
            return ("too_dark",)
        return ("blank",)
    is_white = found.dark_level > _MAX_DARK_LEVEL
    has_marks = found.contrast > _MAX_MARKS_CONTRAST
    checks = {
        "not_a_radiograph": has_color
        or (is_white and has_marks)
        or found.grain > _MAX_GRAIN
        or found.flat_share > _MAX_FLAT_SHARE
        or found.jump_share > _MAX_JUMP_SHARE,
        "too_dark": found.bright_level < _MIN_BRIGHT_LEVEL,
        "too_bright": is_white and not has_marks,
        "blurred": found.sharpness < _MIN_SHARPNESS,
    }
    return tuple(reason for reason, applies in checks.items() if applies)


def measure(image: GrayImage) -> Measurements:
    """Measure one decoded frame, ``(h, w)`` ``uint8`` or ``uint16`` of full range."""
    content, _ = find_content(image)
    view = image[content.top : content.bottom, content.left : content.right]
    full = np.float32(255.0 if image.dtype == np.uint8 else 65535.0)
    factor = min(1.0, _ANALYSIS_SIDE / max(view.shape))
    small = np.asarray(view, np.float32)
    if factor < 1.0:
        size = (max(1, round(view.shape[1] * factor)), max(1, round(view.shape[0] * factor)))
        small = np.asarray(cv2.resize(view, size, interpolation=cv2.INTER_AREA), np.float32)
    small = small / full
    dark, low, high = (float(value) for value in np.percentile(small, (5.0, 0.5, 99.5)))
    normal = np.clip((small - low) / max(high - low, 1e-6), 0.0, 1.0)
    fine = np.abs(normal - cv2.GaussianBlur(normal, (0, 0), 1.0))
    steps = np.abs(np.diff(normal, axis=1))
    lit = (normal[:, 1:] > 0.03) & (normal[:, 1:] < 0.97)
    return Measurements(
        shorter_side=min(image.shape),
        contrast=high - low,
        bright_level=high,
        dark_level=dark,
        sharpness=float(np.percentile(fine, 98.0)),
        grain=float(steps.mean() / max(float(normal.std()), 1e-6)),
        flat_share=float(((steps < 1e-6) & lit).sum() / max(1, int(lit.sum()))),
        jump_share=float((steps > 0.35).mean()),
    )
