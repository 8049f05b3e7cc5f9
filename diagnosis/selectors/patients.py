"""Reads of patients."""

from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from diagnosis.models import Patient
from diagnosis.models.search import search_matches
from diagnosis.selectors.lookup import get_or_404


def patient_list(*, user: User, q: str = "") -> QuerySet[Patient]:
    """Return the clinic's patients, newest first; with ``q`` the matching ones by name.

    Every word of ``q`` is the beginning of a name, of the record number or of
    the birth date (``YYYY-MM-DD``). Merged patients are left out.
    """
    patients = Patient.objects.for_user(user).filter(merged_into__isnull=True).defer("search")
    if not q.strip():
        return patients.order_by("-created_at", "id")
    patients = patients.filter(pk__in=search_matches(Patient, q))
    return patients.order_by("family_name", "given_name", "id")


def patient_get(*, user: User, pk: UUID | str) -> Patient:
    """Return one patient, also a merged one: its page points to ``merged_into``."""
    patients = Patient.objects.for_user(user).select_related("merged_into").defer("search")
    return get_or_404(patients, pk)


def patient_by_record_number(*, user: User, record_number: str) -> Patient | None:
    """Return the patient with exactly this record number, also a merged one."""
    patients = Patient.objects.for_user(user).select_related("merged_into").defer("search")
    return patients.filter(record_number=record_number).first()
