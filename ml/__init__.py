"""Pixels and weights: decoding, the fracture model, its training and evaluation; no Django."""
