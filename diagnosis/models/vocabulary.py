"""The words with which a doctor describes a fracture; the model's own words are among them."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Bone(models.TextChoices):
    """Where the break is."""

    CLAVICLE = "clavicle", _("Clavicle")
    SCAPULA = "scapula", _("Scapula")
    HUMERUS = "humerus", _("Humerus")
    RADIUS = "radius", _("Radius")
    ULNA = "ulna", _("Ulna")
    SCAPHOID = "scaphoid", _("Scaphoid")
    CARPAL = "carpal", _("Other carpal bone")
    METACARPAL = "metacarpal", _("Metacarpal")
    FINGER = "finger", _("Finger")
    PELVIS = "pelvis", _("Pelvis")
    FEMUR = "femur", _("Femur")
    PATELLA = "patella", _("Patella")
    TIBIA = "tibia", _("Tibia")
    FIBULA = "fibula", _("Fibula")
    TALUS = "talus", _("Talus")
    CALCANEUS = "calcaneus", _("Calcaneus")
    TARSAL = "tarsal", _("Other tarsal bone")
    METATARSAL = "metatarsal", _("Metatarsal")
    TOE = "toe", _("Toe")
    OTHER = "other", _("Other bone")


class Laterality(models.TextChoices):
    """Side of the body."""

    LEFT = "left", _("Left")
    RIGHT = "right", _("Right")


class FractureType(models.TextChoices):
    """Course of the fracture line; the model tells some of these, experimentally."""

    TRANSVERSE = "transverse", _("Transverse")
    OBLIQUE = "oblique", _("Oblique")
    SPIRAL = "spiral", _("Spiral")
    OBLIQUE_SPIRAL = "oblique_spiral", _("Oblique or spiral")
    COMMINUTED = "comminuted", _("Comminuted")
    IMPACTED = "impacted", _("Impacted")
    AVULSION = "avulsion", _("Avulsion")
    FISSURE = "fissure", _("Fissure")
    TORUS = "torus", _("Torus (buckle)")
    GREENSTICK = "greenstick", _("Greenstick")
    PHYSEAL = "physeal", _("Growth plate")
    STRESS = "stress", _("Stress")
    OTHER = "other", _("Other")


class Displacement(models.TextChoices):
    """Whether the fragments have moved."""

    NONE = "none", _("Not displaced")
    DISPLACED = "displaced", _("Displaced")


class Severity(models.TextChoices):
    """How bad it is."""

    MILD = "mild", _("Mild")
    MODERATE = "moderate", _("Moderate")
    SEVERE = "severe", _("Severe")


class RejectReason(models.TextChoices):
    """Why a place that the AI marked is no fracture."""

    NORMAL_VARIANT = "normal_variant", _("Normal variant")
    GROWTH_PLATE = "growth_plate", _("Growth plate")
    OLD_FRACTURE = "old_fracture", _("Old fracture")
    ARTEFACT = "artefact", _("Overlap or artefact")
    NOT_A_FRACTURE = "not_a_fracture", _("Not a fracture")
    OTHER = "other", _("Other")
