"""The addresses of SMART that programs call: make, end and look at tokens; say what there is.

The page that asks a member is ``diagnosis.web.smart``: it lets them choose a patient.
"""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from accounts.smart import CODE, REFRESH, SERVICE, as_https, fhir_url, token_url
from accounts.smart_endpoints import (
    introspection_endpoint,
    revocation_endpoint,
    token_endpoint,
)
from accounts.smart_scopes import LAUNCH, OFFLINE, ONLINE, READABLE
from accounts.smart_statements import ALGORITHMS

_PROOFS = ["none", "private_key_jwt"]
_CAPABILITIES = [
    "launch-standalone", "client-public", "client-confidential-asymmetric",
    "context-standalone-patient", "permission-patient", "permission-user", "permission-offline",
    "permission-online", "permission-v1", "permission-v2",
]  # fmt: skip


@csrf_exempt
@never_cache
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """Make a token: for a code, for a refresh secret, for a backend service."""
    return _answered(request, token_endpoint().create_token_response)


@csrf_exempt
@never_cache
@require_POST
def revoke(request: HttpRequest) -> HttpResponse:
    """End one of the caller's own tokens (RFC 7009); unknown ones are answered the same."""
    return _answered(request, revocation_endpoint().create_revocation_response)


@csrf_exempt
@never_cache
@require_POST
def introspect(request: HttpRequest) -> HttpResponse:
    """Tell a program with keys about one of its own tokens (RFC 7662)."""
    return _answered(request, introspection_endpoint().create_introspect_response)


@require_GET
def configuration(_request: HttpRequest) -> JsonResponse:
    """Say where an app asks, and for what."""
    site = settings.BASE_URL.rstrip("/")
    kinds = ("*", *READABLE)
    levels = ("patient", "user", "system")
    return JsonResponse(
        {
            "issuer": fhir_url(),
            "authorization_endpoint": f"{site}/oauth/authorize",
            "token_endpoint": token_url(),
            "token_endpoint_auth_methods_supported": _PROOFS,
            "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS.values()),
            "introspection_endpoint": f"{site}/oauth/introspect",
            "introspection_endpoint_auth_methods_supported": ["private_key_jwt"],
            "revocation_endpoint": f"{site}/oauth/revoke",
            "revocation_endpoint_auth_methods_supported": _PROOFS,
            "management_endpoint": f"{site}/tokens/",
            "grant_types_supported": [CODE, REFRESH, SERVICE],
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": [
                LAUNCH, OFFLINE, ONLINE,
                *(f"{level}/{kind}.rs" for level in levels for kind in kinds),
            ],
            "capabilities": _CAPABILITIES,
        }
    )  # fmt: skip


def _answered(request: HttpRequest, answer: Any) -> HttpResponse:
    headers, body, status = answer(
        as_https(request.get_full_path()),
        http_method="POST",
        body=request.body.decode("utf-8", errors="replace"),
        headers={"Content-Type": request.headers.get("Content-Type", "")},
    )
    return HttpResponse(body, status=status, headers=headers)
