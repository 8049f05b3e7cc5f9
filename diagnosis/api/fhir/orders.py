"""Orders in: ServiceRequest create and update."""

from dataclasses import replace
from typing import Any

from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from fhir.resources.R4B.servicerequest import ServiceRequest as FhirServiceRequest
from pydantic import ValidationError
from rest_framework.request import Request

from diagnosis.api.fhir.errors import BadResource, ChangedMeanwhile
from diagnosis.api.fhir.resources import ORDERS
from diagnosis.api.fhir.views import FhirViewSet, fhir_tag, told
from diagnosis.interop.fhir_orders import identifier_system_of, service_request_told, subject_of
from diagnosis.interop.orders import OrderTold
from diagnosis.models import Order, Patient
from diagnosis.selectors import patient_get
from diagnosis.selectors.orders import order_get
from diagnosis.selectors.patients import patient_by_record_number
from diagnosis.services.orders import Effect, order_cancel, order_place
from diagnosis.services.patients import patient_kept
from fracture_site.common.errors import RefusedInputError


class OrderViewSet(FhirViewSet):
    """Orders: also placed, changed and cancelled."""

    kind = "ServiceRequest"

    def create(self, request: Request) -> HttpResponse:
        """Place an order; one that is there is changed, and answered with 200."""
        body = _request(request.data)
        if body.status != "active":
            raise BadResource("A new order is active.")
        order, effect = self._placed(body, self._told(body))
        status = 201 if effect is Effect.CREATED else 200
        response = self._answer(request, order, status=status)
        response["Location"] = f"{self.context.fhir_url}/ServiceRequest/{order.pk}"
        return response

    def update(self, request: Request, pk: str) -> HttpResponse:
        """Change or cancel (``revoked``) an order that is there."""
        order = order_get(user=self.actor, pk=pk)
        body = _request(request.data)
        self._check_match(request, order)
        given = self._told(body)
        system = identifier_system_of(order.source)
        if (given.source, given.placer_number) != (system, order.placer_number):
            raise BadResource("The identifier of an order does not change.")
        given = replace(given, source=order.source)
        if body.status == "revoked":
            order, _effect = order_cancel(actor=self.actor, clinic_id=order.clinic_id, told=given)
        elif body.status == "active":
            order, _effect = self._placed(body, given)
        else:
            raise BadResource("An order is active or revoked; the rest follows from its study.")
        return self._answer(request, order)

    def _told(self, body: FhirServiceRequest) -> OrderTold:
        return service_request_told(body, received_at=timezone.now())

    def _placed(self, body: FhirServiceRequest, given: OrderTold) -> tuple[Order, Effect]:
        return order_place(
            actor=self.actor,
            clinic_id=self.membership.clinic_id,
            patient=self._patient(body),
            told=given,
        )

    def _patient(self, body: FhirServiceRequest) -> Patient:
        """Return the patient of this clinic; a foreign one is as unknown as one that nobody has."""
        reference, system, value = subject_of(body)
        unknown = RefusedInputError(
            "patient_unknown", _("There is no such patient; register them first.")
        )
        try:
            if reference:
                key = reference.removeprefix(f"{self.context.fhir_url}/")
                return patient_kept(patient_get(user=self.actor, pk=key.removeprefix("Patient/")))
        except Http404:
            raise unknown from None
        if system not in {"", self.context.identifier_system("record-number")}:
            raise RefusedInputError(
                "patient_other_authority", _("These record numbers are not this clinic's.")
            )
        found = patient_by_record_number(user=self.actor, record_number=value)
        if found is None:
            raise unknown
        return patient_kept(found)

    def _check_match(self, request: Request, order: Order) -> None:
        given = request.headers.get("If-Match")
        if given is None or given.strip() == "*":
            return
        [resource] = self._resources(order)
        if fhir_tag(resource) not in {each.strip() for each in given.split(",")}:
            raise ChangedMeanwhile

    def _resources(self, order: Order) -> list[Any]:
        rows = list(ORDERS.rows(self.actor).filter(pk=order.pk))
        return ORDERS.build(self.context, self.actor, rows)

    def _answer(self, request: Request, order: Order, *, status: int = 200) -> HttpResponse:
        [resource] = self._resources(order)
        return told(resource, request, status=status)


def _request(data: Any) -> FhirServiceRequest:
    """Return the resource of a body; errors name elements, never their values."""
    if not isinstance(data, dict) or data.get("resourceType") != "ServiceRequest":
        raise BadResource("Send a ServiceRequest.")
    try:
        return FhirServiceRequest.model_validate(data)
    except ValidationError as error:
        places = {".".join(map(str, each["loc"])) or "resource" for each in error.errors()}
        raise BadResource(f"Wrong or missing: {', '.join(sorted(places))}.") from None
