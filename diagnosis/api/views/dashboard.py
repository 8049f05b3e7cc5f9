"""The figures of the clinic's dashboard."""

from zoneinfo import ZoneInfo

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.policy import Action, require
from diagnosis.api.base import ClinicViewSet
from diagnosis.api.schema import operation
from diagnosis.api.serializers.dashboard import DashboardQuerySerializer, DashboardSerializer
from diagnosis.models import Study
from diagnosis.selectors.dashboard import (
    Period,
    dashboard_figures,
    dashboard_tables,
    default_period,
)
from diagnosis.selectors.proportions import MINIMUM


class DashboardViewSet(ClinicViewSet[Study]):
    """The clinic's figures over a span of days."""

    queryset = Study.objects.none()
    serializer_class = DashboardSerializer

    @operation(
        "Figures of the clinic",
        "Volume, times, verdicts, agreement with signed reports, calibration, drift, failures.",
        parameters=(DashboardQuerySerializer,),
        responses={200: DashboardSerializer},
        errors=("invalid",),
    )
    def retrieve(self, request: Request) -> Response:
        """Return the figures."""
        require(user=self.actor, action=Action.DASHBOARD_VIEW, clinic_id=self.membership.clinic_id)
        asked = DashboardQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        days, zone = asked.validated_data, ZoneInfo(self.membership.clinic.time_zone)
        period = default_period(now=timezone.now(), zone=zone)
        if "first" in days:
            period = Period(days["first"], days["last"], zone)
        baseline = None
        if "baseline_first" in days:
            baseline = Period(days["baseline_first"], days["baseline_last"], zone)
        figures = dashboard_figures(user=self.actor, period=period, baseline=baseline)
        answer = {
            "period": figures.period,
            "baseline": figures.baseline,
            "minimum_cases": MINIMUM,
            "studies": figures.studies,
            "tables": dashboard_tables(figures),
        }
        return Response(DashboardSerializer(answer).data)
