"""The PDF of a signed report as Binary, with the token that reads the report."""

import base64
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from fhir.resources.R4B.binary import Binary
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request

from accounts.policy import Action, require
from diagnosis.api.fhir.resources import REPORT_PROVENANCES, RESOURCES
from diagnosis.api.fhir.views import FhirViewSet, told
from diagnosis.models import ReportVersion
from diagnosis.services.reports import report_pdf

PDF = "application/pdf"


class BinaryViewSet(FhirViewSet):
    """Signed versions of reports; who may read reports may read them, and nobody else."""

    kind = "DiagnosticReport"

    def read(self, request: Request, pk: str) -> HttpResponse:
        """Return the PDF itself, or the resource around it to whoever accepts FHIR alone."""
        clinic_id = self.membership.clinic_id
        require(user=self.actor, action=Action.REPORT_VIEW, clinic_id=clinic_id)
        version = self._version(pk)
        _version, pdf = report_pdf(actor=self.actor, report=version.report, number=version.number)
        report = f"DiagnosticReport/{version.report_id}"
        if _wants_fhir(request):
            content = base64.b64encode(pdf).decode()
            return told(
                Binary.model_validate(
                    {
                        "id": str(version.pk),
                        "contentType": PDF,
                        "securityContext": {"reference": report},
                        "data": content,
                    }
                ),
                request,
            )
        return HttpResponse(
            pdf,
            content_type=PDF,
            headers={
                "Content-Disposition": f'attachment; filename="report-{version.pk}.pdf"',
                "Cache-Control": "private, no-store",
                "X-Security-Context": f"{self.context.fhir_url}/{report}",
            },
        )

    def search(self, _request: Request) -> HttpResponse:
        """Refuse: there is nothing to search by."""
        raise MethodNotAllowed("GET")

    def refuse_other_formats(self, request: Request) -> None:
        """Refuse nothing: the file is served whatever is accepted."""

    def _version(self, pk: str) -> ReportVersion:
        """Return a signed version; narrowed as reports are for an app of one patient."""
        rows: Any = self.reader.rows(RESOURCES["DiagnosticReport"], REPORT_PROVENANCES, "r")
        try:
            version: ReportVersion | None = rows.filter(pk=pk).first()
        except (ValidationError, ValueError):
            version = None
        if version is None:
            raise Http404
        return version


def _wants_fhir(request: Request) -> bool:
    told = request.headers.get("Accept", "").split(",")
    accepted = {each.partition(";")[0].strip() for each in told}
    fhir = {"application/fhir+json", "application/json"}
    return bool(accepted) and accepted <= fhir
