"""REST interface, version 1."""
