"""Talking to other systems: where a connection may go, how it is secured, what its end means."""
