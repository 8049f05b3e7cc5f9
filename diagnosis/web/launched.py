"""The read-only page of a study that a SMART app opens for the person in front of it.

No account is needed in this browser: the link was made with the app's token, once, for a minute.
The session remembers which token opened what, and each request asks again whether the token still
works and how far it goes. There is nothing here to change or to go on to.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import ApiToken, User
from accounts.selectors import token_live
from accounts.smart_scopes import Reach, scope_reach
from accounts.tenancy import clinic_scope
from diagnosis.models import Report, ReportVersion, Study, StudyImage
from diagnosis.selectors import image_get, study_get, study_images
from diagnosis.selectors.first_reads import ai_is_hidden
from diagnosis.selectors.pages import image_heatmap_key
from diagnosis.services.reading import image_open, study_open
from diagnosis.services.reports import report_pdf
from diagnosis.services.viewer_links import viewer_link_use
from diagnosis.storage import object_response
from diagnosis.web.viewer import viewer_image

SESSION_KEY = "launched"
_PICTURES = ("rendition", "thumbnail", "full", "heatmap")


@dataclass(frozen=True, slots=True)
class Looker:
    """For whom the page is: a member through an app, and the study that was opened."""

    token: ApiToken
    study: Study

    @property
    def user(self) -> User:
        """The member who allowed the app to read."""
        return self.token.membership.user

    def may(self, kind: str) -> bool:
        """Return whether the token reads this type of the study's patient."""
        reach = scope_reach(self.token.smart_scopes, kind, "r")
        own = self.study.patient_id == self.token.patient_id
        return reach is Reach.CLINIC or (reach is Reach.PATIENT and own)


@never_cache
@require_safe
def launched_open(request: HttpRequest, secret: str) -> HttpResponseBase:
    """Take the secret out of the address bar; a link that is old or used opens nothing."""
    found = viewer_link_use(secret=secret)
    if found is None:
        return _over(request)
    token, study_id = found
    opened = request.session.get(SESSION_KEY, {})
    opened[str(study_id)] = str(token.pk)
    request.session[SESSION_KEY] = opened
    return redirect("diagnosis:launched-study", study_id)


@never_cache
@require_safe
def launched_study(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The images, what the AI marked, and the way to the signed report."""
    token = _token(request, pk)
    if token is None:
        return _over(request)
    with clinic_scope(token.membership.clinic_id):
        looker = _looker(token, pk)
        study_open(actor=looker.user, study=looker.study)
        return _page(request, looker)


@never_cache
@require_safe
def launched_image(request: HttpRequest, pk: UUID, image: UUID, what: str) -> HttpResponseBase:
    """One picture of the study, each checked and audited."""
    token = _token(request, pk)
    if token is None or what not in _PICTURES:
        raise Http404
    with clinic_scope(token.membership.clinic_id):
        looker = _looker(token, pk)
        row = image_get(user=looker.user, pk=image)
        if row.study_id != pk or (what == "heatmap" and not _shows_ai(looker)):
            raise Http404
        image_open(actor=looker.user, image=row, what=what)
        key, content_type = _object(looker, row, what, request.GET.get("frame", "0"))
        return object_response(key=key, content_type=content_type)


@never_cache
@require_safe
def launched_report(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The PDF of the newest signed report."""
    token = _token(request, pk)
    if token is None:
        return _over(request)
    with clinic_scope(token.membership.clinic_id):
        looker = _looker(token, pk)
        report = _signed(looker)
        if report is None:
            raise Http404
        _version, pdf = report_pdf(actor=looker.user, report=report, number=None)
        return HttpResponse(
            pdf,
            content_type="application/pdf",
            headers={"Content-Disposition": 'attachment; filename="report.pdf"'},
        )


def _token(request: HttpRequest, pk: UUID) -> ApiToken | None:
    """Return the token by which this browser opened the study, while it works."""
    token_id = request.session.get(SESSION_KEY, {}).get(str(pk))
    return token_live(pk=UUID(token_id)) if token_id else None


def _looker(token: ApiToken, pk: UUID) -> Looker:
    """Return who looks at what; in the scope of the token's clinic."""
    user = token.membership.user
    user.acting_token_id = token.pk  # type: ignore[attr-defined]
    looker = Looker(token, study_get(user=user, pk=pk))
    if not looker.may("ImagingStudy"):
        raise Http404
    return looker


def _shows_ai(looker: Looker) -> bool:
    return looker.may("Observation") and not ai_is_hidden(user=looker.user, study=looker.study)


def _signed(looker: Looker) -> Report | None:
    report: Report | None = getattr(looker.study, "report", None)
    if report is None or not looker.may("DiagnosticReport"):
        return None
    return report if report.versions.filter(status=ReportVersion.Status.SIGNED).exists() else None


def _object(looker: Looker, image: StudyImage, what: str, frame: str) -> tuple[str, str]:
    if what == "thumbnail":
        return image.thumbnail_key, "image/jpeg"
    if what == "full":
        return image.served_key, image.served_content_type
    if what == "heatmap":
        key = image_heatmap_key(user=looker.user, image=image, run=None)
        if not key:
            raise Http404
        return key, "image/png"
    if not frame.isdecimal() or len(frame) > 6 or int(frame) >= len(image.rendition_keys):
        raise Http404
    return image.rendition_keys[int(frame)], "image/jpeg"


def _page(request: HttpRequest, looker: Looker) -> HttpResponse:
    shows_ai = _shows_ai(looker)
    images = [
        _view(looker.study, image, ai_hidden=not shows_ai)
        for image in study_images(user=looker.user, study=looker.study)
    ]
    wanted = request.GET.get("image", "")
    context = {
        "study": looker.study,
        "patient": looker.study.patient if looker.may("Patient") else None,
        "images": images,
        "selected": next((each for each in images if each["id"] == wanted), None)
        or next(iter(images), None),
        "result": (looker.study.result or {}) if shows_ai else {},
        "has_report": _signed(looker) is not None,
        "app": looker.token.name,
        "clinic": looker.token.membership.clinic,
    }
    return render(request, "diagnosis/launched_study.html", context)


def _view(study: Study, image: StudyImage, *, ai_hidden: bool) -> dict[str, Any]:
    """Return one image as the viewer reads it, with the addresses of this page."""
    view = viewer_image(image, ai_hidden=ai_hidden)
    rendition, thumbnail, full, heatmap = (
        reverse("diagnosis:launched-image", args=[study.pk, image.pk, what]) for what in _PICTURES
    )
    return view | {
        "rendition_url": rendition,
        "frame_url": rendition + "?frame={frame}",
        "thumbnail_url": thumbnail,
        "full_url": full if image.served_content_type == "image/png" else "",
        "heatmap_url": heatmap if view["heatmap_url"] else "",
    }


def _over(request: HttpRequest) -> HttpResponse:
    return render(request, "diagnosis/launched_over.html", status=404)
