"""Query parameters of the lists; a value that cannot be understood is an error, never ignored."""

from datetime import UTC, datetime
from typing import Any

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django_filters.fields import IsoDateTimeField

from accounts.models import AuditEvent
from diagnosis.api.fields import PRIORITY_NAMES
from diagnosis.models import (
    Alert,
    Delivery,
    Discrepancy,
    Patient,
    Priority,
    RecallTask,
    Report,
    Study,
    Verdict,
)

_SEARCH = "Words that begin a name, the record number or the birth date."


def _already_applied(queryset: QuerySet[Any], _name: str, _value: str) -> QuerySet[Any]:
    """Keep the rows: the selector has searched; the filter validates and documents ``q``."""
    return queryset


class UtcDateTimeField(IsoDateTimeField):
    """A time in UTC: PostgreSQL knows fewer time zone offsets than ISO 8601."""

    def to_python(self, value: Any) -> datetime | None:
        """Return the time, ``None`` for nothing."""
        moment: datetime | None = super().to_python(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error


class TimeFilter(django_filters.IsoDateTimeFilter):
    """A point in time, ISO 8601; a date alone is its midnight."""

    field_class = UtcDateTimeField


class _CreatedFilter(django_filters.FilterSet):
    created_after = TimeFilter(
        field_name="created_at",
        lookup_expr="gte",
        label="Created then or later (ISO 8601).",
    )
    created_before = TimeFilter(
        field_name="created_at", lookup_expr="lt", label="Created earlier (ISO 8601)."
    )


class PatientFilter(_CreatedFilter):
    """Search as you type, or the one with a record number."""

    q = django_filters.CharFilter(method=_already_applied, max_length=200, label=_SEARCH)
    record_number = django_filters.CharFilter(max_length=64, label="Exactly this record number.")

    class Meta:
        model = Patient
        fields: list[str] = []


class StudyFilter(_CreatedFilter):
    """State, verdict and priority may be repeated: any of the values matches."""

    patient = django_filters.UUIDFilter(field_name="patient_id", label="Id of the patient.")
    status = django_filters.MultipleChoiceFilter(choices=Study.Status.choices)
    verdict = django_filters.MultipleChoiceFilter(choices=Verdict.choices)
    priority = django_filters.TypedMultipleChoiceFilter(
        choices=[(name, name) for name in PRIORITY_NAMES.values()],
        coerce=lambda name: Priority[name.upper()].value,
    )
    q = django_filters.CharFilter(
        method=_already_applied,
        max_length=200,
        label=f"{_SEARCH} Also of the accession number and the clinical question.",
    )

    class Meta:
        model = Study
        fields: list[str] = []


class AlertFilter(_CreatedFilter):
    """Critical results that wait for an answer, or those that have one."""

    acknowledged = django_filters.BooleanFilter(
        field_name="acknowledged_at",
        lookup_expr="isnull",
        exclude=True,
        label="Whether somebody has answered.",
    )

    class Meta:
        model = Alert
        fields: list[str] = []


class DiscrepancyFilter(_CreatedFilter):
    """Answers that differ: of one study, of one kind, open or resolved."""

    study = django_filters.UUIDFilter(field_name="study_id", label="Id of the study.")
    kind = django_filters.MultipleChoiceFilter(choices=Discrepancy.Kind.choices)
    severity = django_filters.MultipleChoiceFilter(choices=Discrepancy.Severity.choices)
    open = django_filters.BooleanFilter(
        field_name="resolved_at", lookup_expr="isnull", label="Whether it waits for a resolution."
    )

    class Meta:
        model = Discrepancy
        fields: list[str] = []


class RecallFilter(_CreatedFilter):
    """Recalls of patients: open or closed."""

    open = django_filters.BooleanFilter(
        field_name="closed_at", lookup_expr="isnull", label="Whether nobody has closed it."
    )

    class Meta:
        model = RecallTask
        fields: list[str] = []


class ReportFilter(_CreatedFilter):
    """The report of one study."""

    study = django_filters.UUIDFilter(field_name="study_id", label="Id of the study.")

    class Meta:
        model = Report
        fields: list[str] = []


class DeliveryFilter(_CreatedFilter):
    """What was sent of one study, to one destination, or in one state."""

    study = django_filters.UUIDFilter(field_name="study_id", label="Id of the study.")
    destination = django_filters.UUIDFilter(
        field_name="destination_id", label="Id of the destination."
    )
    status = django_filters.MultipleChoiceFilter(choices=Delivery.Status.choices)

    class Meta:
        model = Delivery
        fields: list[str] = []


class AuditEventFilter(django_filters.FilterSet):
    """What happened to whom, by whom, and when."""

    action = django_filters.CharFilter(max_length=60, label="For example `report.sign`.")
    outcome = django_filters.ChoiceFilter(choices=AuditEvent.Outcome.choices)
    actor = django_filters.UUIDFilter(field_name="actor_id", label="Id of the person.")
    patient = django_filters.UUIDFilter(field_name="patient_id", label="Id of the patient.")
    target = django_filters.UUIDFilter(field_name="target_id", label="Id of the object.")
    at_after = TimeFilter(field_name="at", lookup_expr="gte")
    at_before = TimeFilter(field_name="at", lookup_expr="lt")

    class Meta:
        model = AuditEvent
        fields: list[str] = []
