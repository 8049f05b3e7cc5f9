"""Conversions to and from the formats of other systems: frozen data in, standard objects out."""
