"""``ImagingStudy/<id>/$viewer``: a link by which an app opens the read-only viewer."""

from django.conf import settings
from django.http import Http404, HttpResponse
from django.urls import reverse
from fhir.resources.R4B.parameters import Parameters
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.models import ApiToken
from accounts.policy import require
from diagnosis.api.fhir.search import one
from diagnosis.api.fhir.views import FhirViewSet, told
from diagnosis.interop.fhir_base import instant
from diagnosis.services.viewer_links import viewer_link_create


class ViewerLinkViewSet(FhirViewSet):
    """Links for apps that members allowed to read; the page shows what the token may read."""

    kind = "ImagingStudy"

    def link(self, request: Request, pk: str) -> HttpResponse:
        """Return the link; it opens once, within a minute."""
        require(user=self.actor, action=self.served.action, clinic_id=self.membership.clinic_id)
        found = one(self.reader, self.served, pk)
        if found is None:
            raise Http404
        token = request.auth
        if not isinstance(token, ApiToken) or token.app_id is None:
            raise PermissionDenied("Links to the viewer are for SMART apps.", code="scope")
        made = viewer_link_create(actor=self.actor, token=token, study=found[1])
        path = reverse("diagnosis:launched-open", args=[made.secret])
        response = told(
            Parameters.model_validate(
                {
                    "parameter": [
                        {"name": "url", "valueUrl": settings.BASE_URL.rstrip("/") + path},
                        {"name": "expires", "valueInstant": instant(made.expires_at)},
                    ]
                }
            )
        )
        response["Cache-Control"] = "no-store"
        return response
