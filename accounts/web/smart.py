"""The pages and addresses of SMART App Launch: ask the member, exchange the code, say where."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from oauthlib.oauth2.rfc6749.errors import AccessDeniedError, FatalClientError, OAuth2Error

from accounts.policy import Action
from accounts.smart import READABLE, authorization_endpoint, token_endpoint
from accounts.web.access import member_required, membership_of


@never_cache
@require_http_methods(["GET", "POST"])
@member_required(Action.TOKEN_MANAGE)
def authorize(request: HttpRequest) -> HttpResponse:
    """Ask the member whether an app may read; POST carries the answer back to the app.

    An app or address that is not known gets nothing sent to it: the member reads why.
    """
    endpoint = authorization_endpoint()
    told: dict[str, Any] = {
        "uri": _seen(request.get_full_path()), "http_method": "GET", "body": None, "headers": {},
    }  # fmt: skip
    try:
        scopes, found = endpoint.validate_authorization_request(**told)
        audience = request.GET.get("aud", "").rstrip("/")
        if request.method != "POST":
            if audience != fhir_url():
                return _failed(request, _("The app asked for another site's data."))
            return _asked(request, found, scopes)
        if request.POST.get("answer") != "allow":
            raise AccessDeniedError(state=found["state"])
        if audience != fhir_url():
            return _failed(request, _("The app asked for another site's data."))
        headers, _body, _status = endpoint.create_authorization_response(
            **told, scopes=scopes, credentials={"membership": membership_of(request)}
        )
    except FatalClientError:
        return _failed(request, _("This app is not registered here, or not with this address."))
    except OAuth2Error as error:
        return _back(request, error.in_uri(request.GET.get("redirect_uri", "")))
    return _back(request, headers["Location"])


@csrf_exempt
@never_cache
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """Exchange a code for a token."""
    headers, body, status = token_endpoint().create_token_response(
        _seen(request.path),
        http_method="POST",
        body=request.body.decode("utf-8", errors="replace"),
        headers={"Content-Type": request.headers.get("Content-Type", "")},
    )
    return HttpResponse(body, status=status, headers=headers)


@require_GET
def configuration(_request: HttpRequest) -> JsonResponse:
    """Say where an app asks, and for what."""
    site = settings.BASE_URL.rstrip("/")
    return JsonResponse(
        {
            "issuer": fhir_url(),
            "authorization_endpoint": f"{site}/oauth/authorize",
            "token_endpoint": f"{site}/oauth/token",
            "token_endpoint_auth_methods_supported": ["none"],
            "grant_types_supported": ["authorization_code"],
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["user/*.read", *(f"user/{kind}.read" for kind in READABLE)],
            "capabilities": [
                "launch-standalone", "client-public", "permission-user", "permission-v1",
            ],
        }
    )  # fmt: skip


def fhir_url() -> str:
    """Return the address that an app names as ``aud``."""
    return settings.BASE_URL.rstrip("/") + "/fhir/R4"


def _asked(request: HttpRequest, found: dict[str, Any], scopes: list[str]) -> HttpResponse:
    kinds = [scope.removeprefix("user/").rpartition(".")[0] for scope in scopes]
    context = {
        "app": found["request"].client,
        "host": urlsplit(found["redirect_uri"]).netloc,
        "everything": "*" in kinds,
        "kinds": kinds,
        "clinic": membership_of(request).clinic,
    }
    return render(request, "accounts/smart_authorize.html", context)


def _back(request: HttpRequest, address: str) -> HttpResponse:
    """Lead back to the app by a page: the content policy lets no form's answer leave the site."""
    context = {"address": address, "host": urlsplit(address).netloc}
    response = render(request, "accounts/smart_back.html", context)
    response["Referrer-Policy"] = "no-referrer"  # the address holds the code
    return response


def _failed(request: HttpRequest, detail: str) -> HttpResponse:
    context = {"code": "smart_app_unknown", "detail": detail}
    return render(request, "error.html", context, status=400)


def _seen(path: str) -> str:
    """Return an address for the library, which reads its parameters and insists on https.

    That people come by https is the site's own setting; a demo on one machine has none.
    """
    return f"https://site{path}"
