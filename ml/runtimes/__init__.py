"""Engines that run an exported model without TensorFlow."""
