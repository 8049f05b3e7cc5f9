"""The one read without a user: is a printed report's number genuine?"""

import re
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ReportVerification:
    """What the holder of the paper may know: nothing that is not printed on it."""

    signed_at: datetime
    number: int
    superseded: bool
    withdrawn: bool


def report_verification(*, sha256: str) -> ReportVerification | None:
    """Return the state of the signed version with this number, ``None`` when there is none."""
    if not _DIGEST.fullmatch(sha256):
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT signed_at, number, superseded, withdrawn FROM diagnosis_report_verify(%s)",
            [sha256],
        )
        row = cursor.fetchone()
    return ReportVerification(*row) if row else None
