"""What a report of each body region says when nothing is broken, as a doctor would write it.

The sentences are offered by one button and by nothing else: a person has looked first.
"""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnosis.models import Study

# Structures to be looked at, by what was requested.
STRUCTURES: dict[str, Any] = {
    "hand": gettext_lazy("Phalanges, metacarpals and carpal bones"),
    "wrist": gettext_lazy("Distal radius and ulna, carpal bones and metacarpal bases"),
    "forearm": gettext_lazy("Radius and ulna with the adjoining joints"),
    "elbow": gettext_lazy("Distal humerus, radial head, olecranon and fat pads"),
    "humerus": gettext_lazy("Humerus with shoulder and elbow joint"),
    "shoulder": gettext_lazy("Proximal humerus, glenoid, acromion and clavicle"),
    "hip": gettext_lazy("Pelvic ring, acetabula and proximal femora"),
    "femur": gettext_lazy("Femur with hip and knee joint"),
    "knee": gettext_lazy("Distal femur, patella, tibial plateau and fibular head"),
    "lower_leg": gettext_lazy("Tibia and fibula with the adjoining joints"),
    "ankle": gettext_lazy("Malleoli, talus and tibiofibular alignment"),
    "foot": gettext_lazy("Tarsal bones, metatarsals and phalanges"),
}


def normal_texts(study: Study) -> dict[str, str]:
    """Return findings and impression of a study without a fracture."""
    structures = str(STRUCTURES.get(study.body_part, _("Bones on these images")))
    return {
        "findings": _(
            "%(structures)s: no fracture line seen. Alignment regular. No joint effusion seen. "
            "Soft tissues unremarkable."
        )
        % {"structures": structures},
        "impression": _("No fracture seen."),
    }
