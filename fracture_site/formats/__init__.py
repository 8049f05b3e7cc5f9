"""Formats of dates that nobody can misread, by language."""
