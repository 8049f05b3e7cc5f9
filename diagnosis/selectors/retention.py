"""What a clinic's policy means for its patients: who is kept, until when, and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Exists, F, Max, OuterRef, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest

from accounts.models import Clinic, User
from diagnosis.models import (
    Erasure,
    Patient,
    PatientExport,
    ReportVersion,
    RetentionHold,
    RetentionPolicy,
)
from diagnosis.selectors.lookup import get_or_404

ADULT: Final = 18
AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Keeping:
    """Until when one patient is kept; ``None``: nothing says so."""

    visit: date  # the last one
    by_policy: date | None  # the policy erases from this day on
    by_law: date | None  # a signed report forbids to erase before this day


def retention_policy(*, user: User) -> RetentionPolicy:
    """Return the clinic's policy; an unsaved one with the defaults when nobody has decided."""
    return RetentionPolicy.objects.for_user(user).first() or RetentionPolicy()


def retention_policy_of(*, clinic_id: UUID) -> RetentionPolicy:
    """Return the same of a clinic whose scope is open, for a worker that acts for nobody."""
    return RetentionPolicy.objects.filter(clinic_id=clinic_id).first() or RetentionPolicy()


def holds_open(*, user: User) -> QuerySet[RetentionHold]:
    """Return the holds in force, newest first."""
    rows = RetentionHold.objects.for_user(user).filter(released_at__isnull=True)
    return rows.select_related("patient", "placed_by").defer("patient__search")


def hold_of(*, patient_id: UUID) -> RetentionHold | None:
    """Return the hold that a patient is under."""
    rows = RetentionHold.objects.filter(patient=patient_id, released_at__isnull=True)
    return rows.select_related("placed_by").first()


def erasures(*, user: User) -> QuerySet[Erasure]:
    """Return the clinic's erasures: what is planned, under way, done and failed."""
    rows = Erasure.objects.for_user(user).select_related("patient", "requested_by")
    return rows.defer("patient__search").order_by("-created_at", "id")


def erasure_get(*, user: User, pk: UUID) -> Erasure:
    """Return one erasure.

    Raises:
        Http404: there is none in the current clinic.
    """
    return get_or_404(erasures(user=user), pk)


def patient_exports(*, user: User, patient: Patient | None = None) -> QuerySet[PatientExport]:
    """Return the files made of a patient (or all of the clinic's), newest first."""
    rows = PatientExport.objects.for_user(user).select_related("requested_by", "patient")
    rows = rows.filter(patient=patient) if patient else rows
    return rows.defer("patient__search").order_by("-created_at", "id")


def patient_export_get(*, user: User, pk: UUID) -> PatientExport:
    """Return one of these files.

    Raises:
        Http404: there is none in the current clinic.
    """
    return get_or_404(patient_exports(user=user), pk)


def keeping_of(*, patient: Patient, policy: RetentionPolicy, clinic: Clinic) -> Keeping:
    """Return until when a patient is kept."""
    zone = ZoneInfo(clinic.time_zone)
    told = _told(Patient.objects.filter(pk=patient.pk)).get()
    return _keeping(told, policy, zone)


def patients_due(*, clinic: Clinic, policy: RetentionPolicy, today: date) -> Iterator[Patient]:
    """Yield patients whom the policy no longer keeps, the longest away first.

    For a worker, in the clinic's scope. Left out is who is held, erased, merged into somebody
    else, or about to be erased already.
    """
    if policy.keep_years is None:
        return
    before = years_after(today, -policy.keep_years)
    zone = ZoneInfo(clinic.time_zone)
    held = RetentionHold.objects.filter(patient=OuterRef("pk"), released_at__isnull=True)
    planned = Erasure.objects.filter(patient=OuterRef("pk"), status__in=Erasure.OPEN)
    rows = _told(Patient.objects.filter(clinic=clinic)).filter(
        ~Exists(held), ~Exists(planned), erased_at__isnull=True, merged_into__isnull=True
    )
    found = 0
    for patient in rows.filter(visit__date__lte=before).order_by("visit", "pk").iterator():
        kept = _keeping(patient, policy, zone)
        if all(day is None or day <= today for day in (kept.by_policy, kept.by_law)):
            yield patient
            found += 1
        if found >= AT_ONCE:
            return


def years_after(day: date, years: int) -> date:
    """Return the same day of a later year; of 29 February, where there is none, 1 March."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def _told(patients: QuerySet[Patient]) -> QuerySet[Any]:
    """Add when the person came last, and when a report of them was signed last."""
    signed = (
        ReportVersion.objects.filter(report__study__patient=OuterRef("pk"), signed_at__isnull=False)
        .order_by("-signed_at")
        .values("signed_at")[:1]
    )
    newest = Coalesce(Max("studies__created_at"), F("created_at"))
    return patients.defer("search").annotate(
        visit=Greatest(newest, F("created_at")), signed=Coalesce(signed, Value(None))
    )


def _keeping(patient: Any, policy: RetentionPolicy, zone: ZoneInfo) -> Keeping:
    visit = patient.visit.astimezone(zone).date()
    signed = patient.signed
    by_policy = None
    if policy.keep_years is not None:
        days = [years_after(visit, policy.keep_years)]
        born = patient.birth_date
        if born and visit < years_after(born, ADULT):
            days.append(years_after(born, policy.minors_until_age))
        by_policy = max(days)
    by_law = None
    if signed and policy.reports_years:
        by_law = years_after(signed.astimezone(zone).date(), policy.reports_years)
    return Keeping(visit, by_policy, by_law)
