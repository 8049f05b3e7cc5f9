"""Destinations and deliveries: set up, test, watch, send again."""

from uuid import UUID

from django.db.models import QuerySet
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.policy import Action, require
from diagnosis.api.base import ClinicViewSet
from diagnosis.api.filters import DeliveryFilter
from diagnosis.api.schema import Refusal, operation
from diagnosis.api.serializers.deliveries import (
    DeliverySerializer,
    DestinationSerializer,
    DestinationTestSerializer,
)
from diagnosis.models import Delivery, Destination
from diagnosis.selectors.deliveries import (
    delivery_get,
    delivery_list,
    destination_get,
    destination_list,
)
from diagnosis.services.deliveries import delivery_send_again
from diagnosis.services.destinations import (
    destination_create,
    destination_test,
    destination_update,
)

_TAKEN = Refusal(409, "destination_name_taken", "Another destination has this name.")
_INVALID = Refusal(422, "destination_invalid", "It cannot work like this; see `fields`.")
_NOT_FAILED = Refusal(409, "delivery_not_failed", "It is sent, or still being tried.")
_NEWER = Refusal(409, "newer_delivered", "The destination has a newer version already.")


class DestinationViewSet(mixins.ListModelMixin, ClinicViewSet[Destination]):
    """Systems that get results; for clinic administrators."""

    queryset = Destination.objects.none()
    serializer_class = DestinationSerializer

    def get_queryset(self) -> QuerySet[Destination]:
        """Return the clinic's destinations, to those who may manage them."""
        self._require_manager()
        return destination_list(user=self.actor).order_by("-created_at", "id")

    @operation(
        "List destinations",
        "Newest first; for clinic administrators.",
        responses={200: DestinationSerializer(many=True)},
        errors=("invalid_cursor",),
    )
    def list(self, request: Request) -> Response:
        """Return a page."""
        return super().list(request)

    @operation(
        "Set up a destination",
        "From then on it gets what it asks for.",
        request=DestinationSerializer,
        responses={201: DestinationSerializer},
        errors=("invalid", _TAKEN, _INVALID, "idempotency_key_reused"),
    )
    def create(self, request: Request) -> Response:
        """Create a destination."""
        self._require_manager()
        body = DestinationSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        clinic_id = self.membership.clinic_id
        made = destination_create(actor=self.actor, clinic_id=clinic_id, **body.validated_data)
        address = reverse("api:destination-detail", args=[made.pk], request=request)
        data = DestinationSerializer(made).data
        return Response(data, status=status.HTTP_201_CREATED, headers={"Location": address})

    @operation(
        "Read a destination",
        "Without its secrets.",
        responses={200: DestinationSerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one destination."""
        self._require_manager()
        return Response(DestinationSerializer(destination_get(user=self.actor, pk=pk)).data)

    @operation(
        "Change a destination",
        "Fields that are left out stay as they are.",
        request=DestinationSerializer(partial=True),
        responses={200: DestinationSerializer},
        errors=("invalid", "not_found", _TAKEN, _INVALID),
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change some fields."""
        self._require_manager()
        destination = destination_get(user=self.actor, pk=pk)
        body = DestinationSerializer(destination, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        changed = destination_update(
            actor=self.actor, destination=destination, **body.validated_data
        )
        return Response(DestinationSerializer(changed).data)

    @operation(
        "Test a destination",
        "Asks the system whether it answers (C-ECHO or a query).",
        request=None,
        responses={200: DestinationTestSerializer},
        errors=("not_found", "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def test(self, _request: Request, pk: UUID) -> Response:
        """Return whether the peer answers."""
        self._require_manager()
        destination = destination_get(user=self.actor, pk=pk)
        code = destination_test(actor=self.actor, destination=destination)
        return Response({"reached": not code, "code": code})

    def _require_manager(self) -> None:
        clinic_id = self.membership.clinic_id
        require(user=self.actor, action=Action.DESTINATION_MANAGE, clinic_id=clinic_id)


class DeliveryViewSet(mixins.ListModelMixin, ClinicViewSet[Delivery]):
    """What was sent."""

    queryset = Delivery.objects.none()
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter

    def get_queryset(self) -> QuerySet[Delivery]:
        """Rows of the caller's clinic."""
        return delivery_list(user=self.actor)

    @operation(
        "List deliveries",
        "Newest first.",
        responses={200: DeliverySerializer(many=True)},
        errors=("invalid",),
    )
    def list(self, request: Request) -> Response:
        """Return a page."""
        return super().list(request)

    @operation(
        "Read a delivery",
        "Whether something reached its destination.",
        responses={200: DeliverySerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one delivery."""
        return Response(DeliverySerializer(delivery_get(user=self.actor, pk=pk)).data)

    @operation(
        "Send again",
        "Lets a delivery that has failed run again.",
        request=None,
        responses={202: DeliverySerializer},
        errors=("not_found", _NOT_FAILED, _NEWER, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"], url_path="send-again", url_name="send-again")
    def send_again(self, _request: Request, pk: UUID) -> Response:
        """Queue a failed delivery."""
        delivery_send_again(actor=self.actor, delivery=delivery_get(user=self.actor, pk=pk))
        data = DeliverySerializer(delivery_get(user=self.actor, pk=pk)).data
        return Response(data, status=status.HTTP_202_ACCEPTED)
