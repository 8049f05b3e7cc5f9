"""The words that the model answers with, and how source labels map onto them."""

BODY_REGIONS = (
    "hand",
    "wrist",
    "forearm",
    "elbow",
    "humerus",
    "shoulder",
    "pelvis_hip",
    "femur",
    "knee",
    "tibia_fibula",
    "ankle",
    "foot",
    "spine_chest",
)
COARSE_REGIONS = ("hand_arm", "leg", "hip", "shoulder")

# Published flags of FracAtlas: hand (hand to elbow), leg (femur to foot), hip, shoulder.
COARSE_REGION = {
    "hand": "hand_arm",
    "wrist": "hand_arm",
    "forearm": "hand_arm",
    "elbow": "hand_arm",
    "humerus": "shoulder",
    "shoulder": "shoulder",
    "pelvis_hip": "hip",
    "femur": "leg",
    "knee": "leg",
    "tibia_fibula": "leg",
    "ankle": "leg",
    "foot": "leg",
    "spine_chest": "shoulder",
}

# How sources name the coarse regions.
REGION_OF_LABEL = {
    "hand": "hand_arm",
    "hand_arm": "hand_arm",
    "leg": "leg",
    "hip": "hip",
    "shoulder": "shoulder",
}

# Experimental readings by non-clinicians; anything else in the labels counts as unknown.
SEVERITIES = ("mild", "moderate", "severe")
DISPLACEMENTS = ("none", "displaced")
DISPLACEMENT_OF_LABEL = {"none": 0, "displaced": 1, "complete": 1}
PATTERNS = ("transverse", "oblique_spiral", "comminuted", "impacted", "other")
PATTERN_OF_LABEL = {
    "transverse": 0,
    "oblique": 1,
    "spiral": 1,
    "comminuted": 2,
    "impacted": 3,
    "fissure": 4,
    "avulsion": 4,
    "intraarticular_split": 4,
}
