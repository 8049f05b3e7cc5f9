"""The digest that stands on the paper: one number for everything that was signed."""

import dataclasses
import hashlib
import json
from datetime import date
from typing import Any

from diagnosis.documents.contracts import ReportDocument

FORMAT = "fracture-site-report/1"
# What is printed about the document itself is not part of what was signed: a report keeps its
# number when it is superseded, withdrawn, or printed on another sheet.
_NOT_SIGNED = ("status", "verification", "paper")


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def report_digest(document: ReportDocument) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of the document's signed content."""
    content: dict[str, Any] = dataclasses.asdict(document)
    for name in _NOT_SIGNED:
        del content[name]
    if not content["early_answers"]:  # reports without any keep the number of format 1
        del content["early_answers"]
    canonical = json.dumps(
        {"format": FORMAT, "content": content},
        default=_plain,
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
