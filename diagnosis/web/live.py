"""The live view: the model in use, run by the browser itself. Nothing of a picture comes here."""

from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from csp.decorators import csp
from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import Http404, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from accounts.policy import Action, allowed_actions
from diagnosis.models import Study
from diagnosis.selectors import study_get, study_list
from diagnosis.services.model_previews import ModelPreview, model_preview
from diagnosis.storage import artifact_response
from diagnosis.web.doors import MemberRequest, member_required
from diagnosis.web.words import REASONS
from fracture_site.common.errors import UnavailableError

RUNTIME = "vendor/onnxruntime/ort-wasm-simd-threaded.wasm"
STUDIES_OFFERED = 8


@member_required
@require_safe
def live_page(request: MemberRequest) -> HttpResponse:
    """The camera or a file, judged on this device; ``?study=`` says where a picture would go."""
    may_upload = Action.IMAGE_UPLOAD in allowed_actions(
        user=request.user, clinic_id=request.membership.clinic_id
    )
    wanted = request.GET.get("study", "")
    study = study_get(user=request.user, pk=wanted) if wanted else None
    context = {
        "section": "live",
        "study": study,
        "targets": _targets(request, study) if may_upload else [],
        "may_upload": may_upload,
        "verdicts": ("definite", "suspicion", "negative", "cannot_assess"),
        "reasons": {code: str(text) for code, text in REASONS.items()},
        "first_look": first_look_config(),
    }
    return render(request, "diagnosis/live.html", context)


@member_required
@require_safe
@cache_control(private=True, no_store=True)
def live_model(request: MemberRequest) -> JsonResponse:
    """Say which model a preview uses now, how large it is and where its file lies."""
    try:
        found = model_preview(user=request.user)
    except OSError as error:
        raise UnavailableError(
            "storage", _("The model store does not answer. Try again in a minute.")
        ) from error
    if not isinstance(found, ModelPreview):
        return JsonResponse({"available": False, "code": found.code})
    version = found.version
    answer = {
        "available": True,
        "id": str(version.pk),
        "name": version.name,
        "version": version.version,
        "sha256": version.sha256,
        "bytes": found.size,
        "url": reverse("diagnosis:live-model-file", args=[version.sha256]),
        "manifest": found.manifest,
    }
    return JsonResponse(answer)


@member_required
@require_safe
def live_model_file(request: MemberRequest, sha256: str) -> HttpResponseBase:
    """Hand out the weights of the preview's model, and of no other."""
    found = model_preview(user=request.user)
    if not isinstance(found, ModelPreview) or found.version.sha256 != sha256:
        raise Http404
    return artifact_response(sha256)


@csp(settings.MODEL_WORKER_CSP)
@member_required
@require_safe
@cache_control(private=True, max_age=3600)
def live_worker(_request: MemberRequest) -> HttpResponse:
    """Start the worker under a policy of its own, which alone allows WebAssembly."""
    script = f'import "{static("js/live-worker.js")}";\n'
    return HttpResponse(script, content_type="text/javascript; charset=utf-8")


def first_look_config() -> dict[str, Any]:
    """Return what ``static/js/first-look.js`` needs to know; see ``_first_look.html``."""
    return {
        "model": reverse("diagnosis:live-model"),
        "worker": reverse("diagnosis:live-worker"),
        "runtime": static(RUNTIME),
        "runtimeBytes": _runtime_bytes(),
    }


@lru_cache(maxsize=1)
def _runtime_bytes() -> int:
    path = finders.find(RUNTIME)
    if path is None:
        raise FileNotFoundError(RUNTIME)
    return Path(path).stat().st_size


def _targets(request: MemberRequest, study: Study | None) -> list[dict[str, Any]]:
    """Return the studies that a picture can be sent to: the named one, or the newest open ones.

    What was fetched from an archive to compare with is nobody's work and not offered.
    """
    if study is None:
        closed = (Study.Status.REPORTED, Study.Status.PRIOR)
        open_studies = study_list(user=request.user).exclude(status__in=closed)
        studies = list(open_studies[:STUDIES_OFFERED])
    else:
        studies = [study]
    return [
        {
            "study": each,
            "upload_url": _upload_url(each.pk, each.patient_id),
            "parts_url": reverse("api:study-uploads", args=[each.pk]),
        }
        for each in studies
    ]


def _upload_url(study: UUID, patient: UUID) -> str:
    return f"{reverse('diagnosis:study-upload', args=[study])}?patient={patient}"
