"""FHIR R4: read and search for most resources, orders in."""
