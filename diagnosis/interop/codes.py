"""The coded words of the DICOM objects, in one swappable place."""

from typing import Final

from pydicom.sr.coding import Code

from diagnosis.interop.contracts import Certainty, ImageVerdict

FRACTURE: Final = Code("125605004", "SCT", "Fracture of bone")
BOUNDED_BY: Final = Code("75958009", "SCT", "Bounded by")
PLAIN_RADIOGRAPHY: Final = Code("168537006", "SCT", "Plain radiography")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")
PROBABILITY: Final = Code("122157", "DCM", "Probability")
PROBABILITY_UNIT: Final = Code("1", "UCUM", "no units")
CERTAINTY_OF_FINDING: Final = Code("111012", "DCM", "Certainty of Finding")
PRESENCE: Final = Code("121052", "DCM", "Presence of property")
DEVICE_OBSERVER: Final = Code("121007", "DCM", "Device")
ENGLISH: Final = Code("en", "RFC5646", "English")
IMAGING_REPORT: Final = Code("18748-4", "LN", "Diagnostic Imaging Report")

_PRESENT: Final = Code("121053", "DCM", "Present")
_ABSENT: Final = Code("121054", "DCM", "Absent")
_UNDETERMINED: Final = Code("121059", "DCM", "Presence Undetermined")
_SUSPECTED: Final = Code("415684004", "SCT", "Suspected")

CERTAINTIES: Final = {Certainty.DEFINITE: _PRESENT, Certainty.SUSPICION: _SUSPECTED}
PRESENCES: Final = {
    ImageVerdict.DEFINITE: _PRESENT,
    ImageVerdict.SUSPICION: _SUSPECTED,
    ImageVerdict.NEGATIVE: _ABSENT,
    ImageVerdict.CANNOT_ASSESS: _UNDETERMINED,
}

LATERALITIES: Final = {
    "L": Code("7771000", "SCT", "Left"),
    "R": Code("24028007", "SCT", "Right"),
    "B": Code("51440002", "SCT", "Right and left"),
}

_LOWER_LEG: Final = Code("30021000", "SCT", "Lower leg")
SITES: Final = {
    "hand_arm": Code("53120007", "SCT", "Upper limb"),
    "leg": Code("61685007", "SCT", "Lower limb"),
    "hip": Code("29836001", "SCT", "Hip"),
    "shoulder": Code("16982005", "SCT", "Shoulder"),
    "hand": Code("85562004", "SCT", "Hand"),
    "wrist": Code("74670003", "SCT", "Wrist joint"),
    "forearm": Code("14975008", "SCT", "Forearm"),
    "elbow": Code("16953009", "SCT", "Elbow joint"),
    "humerus": Code("85050009", "SCT", "Humerus"),
    "pelvis": Code("816092008", "SCT", "Pelvis"),
    "femur": Code("71341001", "SCT", "Femur"),
    "knee": Code("72696002", "SCT", "Knee"),
    "lower_leg": _LOWER_LEG,
    "tibia_fibula": _LOWER_LEG,
    "ankle": Code("70258002", "SCT", "Ankle joint"),
    "foot": Code("56459004", "SCT", "Foot"),
}
# A region that a newer model names and this table does not know is still in a limb.
ANY_SITE: Final = Code("66019005", "SCT", "Limb structure")
