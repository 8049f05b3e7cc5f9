"""The caller, the registered models, the audit trail, and addresses that do not exist."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import mixins
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import audit_viewed
from accounts.models import AuditEvent, Membership
from accounts.policy import Action, require
from accounts.selectors import audit_event_list
from diagnosis.api.base import ClinicViewSet
from diagnosis.api.filters import AuditEventFilter
from diagnosis.api.pagination import NumberedCursorPagination
from diagnosis.api.schema import operation
from diagnosis.api.serializers.site import (
    AuditEventSerializer,
    MeSerializer,
    ModelVersionSerializer,
)
from diagnosis.models import ModelVersion
from diagnosis.selectors import model_version_list


class MeViewSet(ClinicViewSet[Membership]):
    """The caller."""

    queryset = Membership.objects.none()
    serializer_class = MeSerializer

    @operation(
        "Who am I",
        "The caller, the current clinic, roles, allowed actions and the token's scope.",
        responses={200: MeSerializer},
    )
    def retrieve(self, _request: Request) -> Response:
        """Return the caller."""
        return Response(MeSerializer(self.membership, context=self.get_serializer_context()).data)


class ModelVersionViewSet(mixins.ListModelMixin, ClinicViewSet[ModelVersion]):
    """The registered models."""

    queryset = ModelVersion.objects.none()
    serializer_class = ModelVersionSerializer

    def get_queryset(self) -> QuerySet[ModelVersion]:
        """Every registered model; none belongs to a clinic."""
        return model_version_list()

    @operation(
        "List models",
        "Registered models, newest first. Several are active when each covers other images.",
        responses={200: ModelVersionSerializer(many=True)},
        errors=("invalid_cursor",),
    )
    def list(self, request: Request) -> Response:
        """Return a page."""
        return super().list(request)


class AuditEventViewSet(mixins.ListModelMixin, ClinicViewSet[AuditEvent]):
    """The clinic's audit trail."""

    queryset = AuditEvent.objects.none()
    serializer_class = AuditEventSerializer
    filterset_class = AuditEventFilter
    pagination_class = NumberedCursorPagination

    def get_queryset(self) -> QuerySet[AuditEvent]:
        """Return the current clinic's events, to those who may read them."""
        clinic_id = self.membership.clinic_id
        require(user=self.actor, action=Action.AUDIT_VIEW, clinic_id=clinic_id)
        return audit_event_list(clinic_id=clinic_id)

    @operation(
        "List audit events",
        "Newest first; for clinic administrators.",
        responses={200: AuditEventSerializer(many=True)},
        errors=("invalid",),
    )
    def list(self, request: Request) -> Response:
        """Return a page; opening the trail is an event of it, going on to older ones is not."""
        response = super().list(request)
        if "cursor" not in request.query_params:
            audit_viewed(actor=self.actor, clinic_id=self.membership.clinic_id)
        return response


class UnknownAddressViewSet(ClinicViewSet[Membership]):
    """Whatever else lies under the API's prefix, so that its 404 is JSON too."""

    def unknown(self, _request: Request, *_args: Any, **_kwargs: Any) -> Response:
        """Answer 404."""
        raise NotFound("No such address; ids are UUIDs and addresses end with a slash.")
