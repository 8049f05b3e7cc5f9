"""The page of SMART App Launch that asks a member whether an app may read, and of whom."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from oauthlib.oauth2.rfc6749.errors import AccessDeniedError, FatalClientError, OAuth2Error

from accounts.policy import Action, require
from accounts.services.smart_tokens import OFFLINE_LIFE
from accounts.smart import as_https, fhir_url
from accounts.smart_endpoints import authorization_endpoint
from accounts.smart_scopes import OFFLINE, ONLINE, needs_patient, scopes_parsed
from diagnosis.models import Patient
from diagnosis.selectors import patient_get, patient_list
from diagnosis.web.doors import MemberRequest, member_required

SHOWN_PATIENTS = 8
_KINDS = {
    "*": _("All of it: patients, orders, images, findings of the AI, reports, model versions"),
    "Patient": _("Who the patients are: name, birth date, record number"),
    "ServiceRequest": _("Orders"),
    "ImagingStudy": _("Studies and their images' data"),
    "Observation": _("Findings of the AI"),
    "DiagnosticReport": _("Reports, with their PDF"),
    "Device": _("Model versions"),
    "DocumentReference": _("Descriptions of the models"),
    "Provenance": _("Who made or signed what"),
    "AuditEvent": _("The audit trail"),
}


@never_cache
@require_http_methods(["GET", "POST"])
@member_required
def authorize(request: MemberRequest) -> HttpResponseBase:
    """Ask the member; POST searches a patient, or carries the answer back to the app.

    An app or address that is not known gets nothing sent to it: the member reads why.
    """
    clinic_id = request.membership.clinic_id
    require(user=request.user, action=Action.TOKEN_MANAGE, clinic_id=clinic_id)
    endpoint = authorization_endpoint()
    told: dict[str, Any] = {
        "uri": as_https(request.get_full_path()), "http_method": "GET", "body": None, "headers": {},
    }  # fmt: skip
    try:
        scopes, found = endpoint.validate_authorization_request(**told)
        if request.GET.get("aud", "").rstrip("/") != fhir_url():
            return _failed(request, gettext("The app asked for another site's data."))
        answer = request.POST.get("answer", "")
        if answer == "deny":
            raise AccessDeniedError(state=found["state"])
        patient = _chosen(request)
        if answer != "allow" or (needs_patient(scopes) and patient is None):
            return _asked(request, found, scopes, chosen=patient)
        credentials = {
            "membership": request.membership,
            "launch_patient": patient.pk if patient and needs_patient(scopes) else None,
        }
        headers, _body, _status = endpoint.create_authorization_response(
            **told, scopes=scopes, credentials=credentials
        )
    except FatalClientError:
        return _failed(
            request, gettext("This app is not registered here, or not with this address.")
        )
    except OAuth2Error as error:
        return _back(request, error.in_uri(request.GET.get("redirect_uri", "")))
    return _back(request, headers["Location"])


def _chosen(request: MemberRequest) -> Patient | None:
    """Return the patient of the form; one of another clinic is as unknown as one nobody has."""
    try:
        patient = patient_get(user=request.user, pk=UUID(request.POST.get("patient", "")))
    except (ValueError, Http404):
        return None
    return patient if patient.merged_into_id is None else None


def _asked(
    request: MemberRequest, found: dict[str, Any], scopes: list[str], *, chosen: Patient | None
) -> HttpResponse:
    parsed = scopes_parsed(scopes)
    of_patient, of_all = (
        [_KINDS[kind] for kind in dict.fromkeys(s.kind for s in parsed if s.level == level)]
        for level in ("patient", "user")
    )
    q, choosing = request.POST.get("q", ""), needs_patient(scopes)
    patients = list(patient_list(user=request.user, q=q)[:SHOWN_PATIENTS]) if choosing else []
    unanswered = request.POST.get("answer") == "allow"
    context = {
        "app": found["request"].client,
        "host": urlsplit(found["redirect_uri"]).netloc,
        "of_patient": of_patient,
        "of_all": of_all,
        "choosing": choosing,
        "patients": patients if chosen is None or chosen in patients else [chosen, *patients],
        "chosen": chosen,
        "q": q,
        "missing": unanswered,
        "offline_days": OFFLINE_LIFE.days if OFFLINE in scopes else 0,
        "online": ONLINE in scopes,
        "clinic": request.membership.clinic,
    }
    status = 422 if unanswered else 200
    return render(request, "diagnosis/smart_authorize.html", context, status=status)


def _back(request: HttpRequest, address: str) -> HttpResponse:
    """Lead back to the app by a page: the content policy lets no form's answer leave the site."""
    context = {"address": address, "host": urlsplit(address).netloc}
    response = render(request, "diagnosis/smart_back.html", context)
    response["Referrer-Policy"] = "no-referrer"  # the address holds the code
    return response


def _failed(request: HttpRequest, detail: str) -> HttpResponse:
    context = {"code": "smart_app_unknown", "detail": detail}
    return render(request, "error.html", context, status=400)
