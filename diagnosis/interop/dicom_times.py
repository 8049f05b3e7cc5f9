"""DICOM's dates and times, which mean the clock on the wall, as moments."""

import datetime
from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

_BEGINS: Final = datetime.date(1895, 11, 8)  # no radiograph is older
# Most exact first.
_SOURCES: Final = (
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("StudyDate", "StudyTime"),
)


def acquired_at(header: Mapping[str, str], time_zone: str) -> datetime.datetime | None:
    """Return when the image was taken, by the clock of the clinic's zone; ``None`` if unsaid."""
    for date, time in _SOURCES:
        day, clock = dicom_date(header.get(date, "")), dicom_time(header.get(time, ""))
        if day and clock:
            return datetime.datetime.combine(day, clock, tzinfo=ZoneInfo(time_zone))
    return None


def dicom_date(text: str) -> datetime.date | None:
    """Return a DA value that can be a day in a radiograph's life, else ``None``."""
    if len(text) != 8 or not (text.isascii() and text.isdecimal()):
        return None
    try:
        day = datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    return day if _BEGINS <= day <= datetime.date(9000, 1, 1) else None


def dicom_time(text: str) -> datetime.time | None:
    """Return a TM value to the second, else ``None``; minutes and seconds may be missing."""
    digits = text.partition(".")[0]
    if len(digits) not in {2, 4, 6} or not (digits.isascii() and digits.isdecimal()):
        return None
    try:
        padded = digits.ljust(6, "0")
        return datetime.time(int(padded[:2]), int(padded[2:4]), int(padded[4:]))
    except ValueError:
        return None
