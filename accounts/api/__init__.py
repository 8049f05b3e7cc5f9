"""How the API knows its caller."""
