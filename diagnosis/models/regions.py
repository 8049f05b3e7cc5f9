"""Words for the region codes that models answer with."""

from django.utils.translation import gettext_lazy as _

REGION_LABELS = {
    "hand_arm": _("Hand or arm"),
    "leg": _("Leg"),
    "hip": _("Hip or pelvis"),
    "shoulder": _("Shoulder"),
    "mixed": _("Several regions"),
    "hand": _("Hand"),
    "wrist": _("Wrist"),
    "forearm": _("Forearm"),
    "elbow": _("Elbow"),
    "humerus": _("Upper arm"),
    "pelvis": _("Pelvis"),
    "femur": _("Thigh"),
    "knee": _("Knee"),
    "lower_leg": _("Lower leg"),
    "tibia_fibula": _("Lower leg"),
    "ankle": _("Ankle"),
    "foot": _("Foot"),
}


def region_label(code: str) -> str:
    """Return the translated word, or the code itself when a newer model knows more."""
    return str(REGION_LABELS.get(code, code))
