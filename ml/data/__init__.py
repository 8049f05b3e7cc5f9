"""Readers, splits, caches and augmentation for training data."""
