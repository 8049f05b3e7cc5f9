"""Drawn pictures that are no limb radiograph: what the quality gate learns to refuse."""
