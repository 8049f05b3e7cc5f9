"""What makes the site installable: manifest, service worker and the page without a connection.

The service worker keeps the static shell of the offline page and nothing else: no page of a
person, no image and no answer of the API ever enters its cache.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

THEME_COLOR: Final = "#1c5d8c"
_SHELL: Final = (
    "vendor/bootstrap/bootstrap.min.css",
    "vendor/bootstrap/bootstrap.rtl.min.css",
    "css/tokens.css",
    "css/app.css",
    "css/widgets.css",
    "js/theme.js",
    "js/offline.js",
    "img/logo.svg",
)
# Scripts import others by their plain address, never by the hashed one.
_IMPORTED: Final = ("js/queue-store.js",)


@require_safe
@cache_control(public=True, max_age=3600)
def manifest(_request: HttpRequest) -> JsonResponse:
    """Describe the installed app, in the reader's language."""
    icons = [
        {"src": static("img/logo.svg"), "type": "image/svg+xml", "sizes": "any"},
        *({"src": static(f"img/icon-{n}.png"), "type": "image/png", "sizes": f"{n}x{n}"}
          for n in (192, 512)),
        {"src": static("img/icon-maskable-512.png"), "type": "image/png", "sizes": "512x512",
         "purpose": "maskable"},
    ]  # fmt: skip
    body = {
        "id": "/",
        "name": _("Fracture Site"),
        "short_name": _("Fracture Site"),
        "description": _("Finds fractures in radiographs for a clinician to confirm."),
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "background_color": "#f5f7f9",
        "theme_color": THEME_COLOR,
        "icons": icons,
    }
    response = JsonResponse(body, content_type="application/manifest+json")
    response["Vary"] = "Accept-Language, Cookie"
    return response


@require_safe
@cache_control(no_cache=True)
def service_worker(_request: HttpRequest) -> HttpResponse:
    """Return the worker with the addresses of the shell; new files make a new version."""
    offline_page = render_to_string("pwa/offline.html")
    files = [static(name) for name in _SHELL]
    files += [f"{settings.STATIC_URL}{name}" for name in _IMPORTED]
    imported = [_text(name) for name in _IMPORTED]
    version = hashlib.sha256(json.dumps([offline_page, files, imported]).encode()).hexdigest()[:12]
    shell = {"version": version, "page": reverse("offline"), "files": files}
    body = render_to_string("pwa/service-worker.js", {"shell": json.dumps(shell)})
    return HttpResponse(body, content_type="text/javascript; charset=utf-8")


@require_safe
@cache_control(public=True, max_age=3600)
def offline(request: HttpRequest) -> HttpResponse:
    """The page that the browser shows while the server cannot be reached."""
    return render(request, "pwa/offline.html")


@cache
def _text(name: str) -> str:
    path = finders.find(name)
    if path is None:
        raise FileNotFoundError(name)
    return Path(path).read_text(encoding="utf-8")
