"""Studies by DICOM attributes, with the matching rules of PS3.4 C.2.2.2, as SQL.

Each key is one entry of ``STUDY_KEYS``; a value is what C-FIND and QIDO-RS carry: a single value,
a list of UIDs, a range (``-``), or a text with ``*`` and ``?``. Names match whatever their case.
"""

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import DateField, Exists, F, OuterRef, Q, QuerySet, TimeField, Value
from django.db.models.functions import Coalesce, Concat, Replace, TruncDate, TruncTime

from accounts.models import User
from diagnosis.models import Study, StudyImage

MADE_UID: Final = "2.25."
_SEXES: Final = {"F": "female", "M": "male", "O": "other"}
_WILD: Final = re.compile(r"[*?]")


class QueryError(ValueError):
    """A key has a value that cannot be matched; ``args[0]`` names the key."""


def dicom_studies(*, user: User, keys: Mapping[str, str], time_zone: str) -> QuerySet[Study]:
    """Return the clinic's studies with images that match all keys, newest first.

    The rows carry ``dicom_date``, ``dicom_time`` and ``dicom_name``.

    Raises:
        QueryError: a value cannot be matched.
    """
    zone = ZoneInfo(time_zone)
    image = StudyImage.objects.filter(study=OuterRef("pk"))
    studies = (
        Study.objects.for_user(user)
        .filter(Exists(image))
        .select_related("patient", "clinic")
        .prefetch_related("images")
        .defer("search", "patient__search")
        .annotate(
            dicom_date=Coalesce(
                "study_date", TruncDate("created_at", tzinfo=zone), output_field=DateField()
            ),
            dicom_time=Coalesce(
                "study_time", TruncTime("created_at", tzinfo=zone), output_field=TimeField()
            ),
            dicom_name=name_annotation(),
        )
    )
    for key, value in keys.items():
        if value not in {"", "*"}:
            studies = studies.filter(STUDY_KEYS[key](key, value))
            if key == "StudyDate":
                studies = studies.filter(_near_days(value))
    return studies.order_by("-created_at", "id")


def name_annotation() -> Concat:
    """Return a patient's name as DICOM writes it."""
    family, given = _caretless("patient__family_name"), _caretless("patient__given_name")
    return Concat(family, Value("^"), given)


def _caretless(field: str) -> Replace:
    return Replace(F(field), Value("^"), Value(" "))


def text_pattern(value: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """Return what a text with wildcards matches as a whole."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in value)
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL if ignore_case else re.DOTALL)


def _sql_pattern(value: str) -> str:
    escaped = (
        ".*" if c == "*" else "." if c == "?" else re.sub(r"([^\w\s])", r"\\\1", c) for c in value
    )
    return "".join(escaped)


def _near_days(value: str) -> Q:
    """Return what an index finds: at least the studies of a range of days that was read before."""
    low, dash, high = (part.strip() for part in value.partition("-"))
    if not dash:
        high = low
    a_day = datetime.timedelta(days=1)
    told, stored = Q(study_date__isnull=False), Q(study_date__isnull=True)
    midnight = datetime.datetime.min.replace(tzinfo=datetime.UTC).timetz()
    # No clock is a day away from UTC; the key itself decides.
    if low and (first := parse_date(low)) > datetime.date.min:
        told &= Q(study_date__gte=first)
        stored &= Q(created_at__gte=datetime.datetime.combine(first - a_day, midnight))
    if high and (last := parse_date(high)) < datetime.date.max - a_day:
        told &= Q(study_date__lte=last)
        stored &= Q(created_at__lt=datetime.datetime.combine(last + 2 * a_day, midnight))
    return told | stored


def text_condition(field: str) -> Callable[[str, str], Q]:
    """Return what matches a text, with wildcards or without."""

    def condition(_key: str, value: str) -> Q:
        if not _WILD.search(value):
            return Q(**{field: value})
        return Q(**{f"{field}__regex": f"^(?:{_sql_pattern(value)})$"})

    return condition


def _name(_key: str, value: str) -> Q:
    # Trailing carets say nothing (PS3.5 6.2); only the first of three spellings is stored.
    wanted = value.partition("=")[0].rstrip("^")
    return Q(dicom_name__iregex=rf"^(?:{_sql_pattern(wanted)})\^*$")


def _uids(_key: str, value: str) -> Q:
    wanted = [uid for uid in re.split(r"[\\,]", value) if uid]
    made = [UUID(int=int(uid[5:])) for uid in wanted if _is_made(uid)]
    return Q(study_instance_uid__in=wanted) | Q(study_instance_uid="", pk__in=made)


def _is_made(uid: str) -> bool:
    digits = uid.removeprefix(MADE_UID)
    plain = digits != uid and digits.isascii() and digits.isdecimal() and len(digits) <= 39
    return plain and int(digits) < 2**128


def _sex(_key: str, value: str) -> Q:
    return Q(patient__sex=_SEXES.get(value, ""))


def _modalities(_key: str, value: str) -> Q:
    wanted = [code for code in re.split(r"[\\,]", value) if code]
    # What did not come as DICOM, and what says no code, is shown as OT.
    known = Q(modality__in=wanted, modality__regex="^[A-Z]{2,16}$")
    other = ~Q(modality__regex="^[A-Z]{2,16}$") if "OT" in wanted else Q(pk__in=[])
    return Exists(StudyImage.objects.filter(known | other, study=OuterRef("pk")))  # type: ignore[return-value]


def _range(field: str, parse: Callable[[str, bool], object]) -> Callable[[str, str], Q]:
    def condition(key: str, value: str) -> Q:
        low, dash, high = value.partition("-")
        if not dash:
            return Q(**{f"{field}__range": (_parsed(key, low, False), _parsed(key, low, True))})  # noqa: FBT003
        found = Q()
        if low:
            found &= Q(**{f"{field}__gte": _parsed(key, low, False)})  # noqa: FBT003
        if high:
            found &= Q(**{f"{field}__lte": _parsed(key, high, True)})  # noqa: FBT003
        if not (low or high):
            raise QueryError(key)
        return found

    def _parsed(key: str, text: str, last: bool) -> object:  # noqa: FBT001
        try:
            return parse(text.strip(), last)
        except ValueError as error:
            raise QueryError(key) from error

    return condition


def date_range(field: str) -> Callable[[str, str], Q]:
    """Return what matches a day or a range of days."""
    return _range(field, parse_date)


def parse_date(text: str, _last: bool = False) -> datetime.date:  # noqa: FBT001, FBT002
    """Return a DA value; dots and dashes of older times are not taken.

    Raises:
        ValueError: it is none.
    """
    if len(text) != 8 or not (text.isascii() and text.isdecimal()):
        raise ValueError(text)
    return datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))


def parse_time(text: str, last: bool = False) -> datetime.time:  # noqa: FBT001, FBT002
    """Return the first, or last, moment that a TM value of any precision stands for.

    Raises:
        ValueError: it is none.
    """
    digits, _dot, fraction = text.partition(".")
    plain = digits.isascii() and digits.isdecimal() and len(digits) in {2, 4, 6}
    if not plain or (fraction and not (fraction.isascii() and fraction.isdecimal())):
        raise ValueError(text)
    filled = digits + ("5959" if last else "0000")[: 6 - len(digits)]
    micro = int(fraction.ljust(6, "9" if last else "0")[:6]) if fraction or last else 0
    if last and not fraction:
        micro = 999999
    return datetime.time(int(filled[:2]), int(filled[2:4]), int(filled[4:]), micro)


STUDY_KEYS: Final[Mapping[str, Callable[[str, str], Q]]] = {
    "StudyInstanceUID": _uids,
    "PatientID": text_condition("patient__record_number"),
    "PatientName": _name,
    "PatientBirthDate": _range("patient__birth_date", parse_date),
    "PatientSex": _sex,
    "AccessionNumber": text_condition("accession_number"),
    "StudyDate": _range("dicom_date", parse_date),
    "StudyTime": _range("dicom_time", parse_time),
    "ModalitiesInStudy": _modalities,
}
