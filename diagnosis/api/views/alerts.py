"""Critical results: what waits for an answer, and answering."""

from uuid import UUID

from django.db.models import QuerySet
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.base import ClinicViewSet
from diagnosis.api.filters import AlertFilter
from diagnosis.api.schema import Refusal, operation
from diagnosis.api.serializers.alerts import AlertSerializer
from diagnosis.models import Alert
from diagnosis.selectors.alerts import alert_get, alert_list
from diagnosis.services.alerts import alert_acknowledge

_FIRST = Refusal(409, "first_read_missing", "Answer for yourself first; see `first-read`.")


class AlertViewSet(mixins.ListModelMixin, ClinicViewSet[Alert]):
    """The clinic's critical results."""

    queryset = Alert.objects.none()
    serializer_class = AlertSerializer
    filterset_class = AlertFilter

    def get_queryset(self) -> QuerySet[Alert]:
        """Rows of the caller's clinic."""
        return alert_list(user=self.actor)

    @operation(
        "List critical results",
        "Newest first; `acknowledged=false` for those that wait for an answer. Members who read "
        "first get those that they were told of, with `read_first`, and no others until they "
        "have answered for themselves.",
        responses={200: AlertSerializer(many=True)},
        errors=("invalid",),
    )
    def list(self, request: Request) -> Response:
        """Return a page."""
        response = super().list(request)
        self.note_list("alert", (row["patient"] for row in response.data["results"]))
        return response

    @operation(
        "Acknowledge a critical result",
        "Records that the caller knows of it and sees to it; the first answer counts.",
        responses={200: AlertSerializer},
        errors=("not_found", _FIRST, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def acknowledge(self, _request: Request, pk: UUID) -> Response:
        """Answer."""
        alert_acknowledge(actor=self.actor, alert=alert_get(user=self.actor, pk=pk))
        return Response(AlertSerializer(alert_get(user=self.actor, pk=pk)).data)
