"""The dashboard's figures: what may be asked, and how they are answered."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.selectors.dashboard import Table, span_error

_CELL = {"type": ["string", "number", "null"]}


class DashboardQuerySerializer(serializers.Serializer[Any]):
    """Days of the clinic's calendar, both included; without them the last thirty."""

    first = serializers.DateField(required=False)
    last = serializers.DateField(required=False)
    baseline_first = serializers.DateField(
        required=False, help_text="Drift is measured against these days, or the clinic's first 90."
    )
    baseline_last = serializers.DateField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse half a span, one that ends before it begins, and one that is endless."""
        for prefix in ("", "baseline_"):
            wrong = span_error(attrs.get(f"{prefix}first"), attrs.get(f"{prefix}last"))
            if wrong:
                raise serializers.ValidationError({f"{prefix}last": [wrong]})
        return attrs


class SpanSerializer(serializers.Serializer[Any]):
    """Whole days by the clinic's clock."""

    first = serializers.DateField(read_only=True)
    last = serializers.DateField(read_only=True)


class TableSerializer(serializers.Serializer[Table]):
    """The figures of one chart."""

    key = serializers.CharField(read_only=True)
    columns = serializers.ListField(child=serializers.CharField(), read_only=True)
    rows = serializers.SerializerMethodField(
        help_text="Each row's cells in the order of `columns`; null where there is no figure."
    )

    @extend_schema_field({"type": "array", "items": {"type": "array", "items": _CELL}})
    def get_rows(self, table: Table) -> list[list[Any]]:
        """Return the cells; days as ISO dates."""
        return [
            [cell.isoformat() if hasattr(cell, "isoformat") else cell for cell in row]
            for row in table.rows
        ]


@extend_schema_serializer(examples=[OpenApiExample("Dashboard", examples.DASHBOARD)])
class DashboardSerializer(serializers.Serializer[Any]):
    """Counts and rates of one clinic; nothing of a patient.

    A rate of fewer than `minimum_cases` cases is null, its counts stay. Intervals are 95 %.
    """

    period = SpanSerializer(read_only=True)
    baseline = SpanSerializer(read_only=True)
    step = serializers.ChoiceField(
        choices=["day", "week", "month"], source="period.step", read_only=True
    )
    minimum_cases = serializers.IntegerField(read_only=True)
    studies = serializers.IntegerField(read_only=True)
    tables = TableSerializer(many=True, read_only=True)
