"""The whole product on one machine with one command: ``make demo``."""
