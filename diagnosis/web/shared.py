"""The recipient's side of a second-opinion link: no account, a phone is enough.

Whatever is wrong with a link gets one and the same answer. The secret leaves the address bar at
once; the session remembers what it opened, and each request asks again whether that still works.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from allauth.core.internal import ratelimit
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.tenancy import clinic_scope
from diagnosis.models import StudyShare
from diagnosis.selectors.shares import ShareKey, share_find, share_images, share_usable
from diagnosis.services.shares import share_comment, share_opened, share_passcode_check
from diagnosis.storage import object_response
from diagnosis.web.doors import form_refused
from diagnosis.web.share_forms import CommentForm, PasscodeForm
from fracture_site.common.errors import DomainError

SESSION_KEY = "shared"
OLDEST_SHOWN_AGE = 89
RATES = {"share_open": "30/m/ip", "share_passcode": "10/5m/ip"}


@never_cache
@require_safe
def shared_open(request: HttpRequest, secret: str) -> HttpResponseBase:
    """Take the secret out of the address bar; nothing is shown yet."""
    if not _below_limit(request, "share_open"):
        return _too_often(request)
    key = share_find(secret=secret)
    if key is None:
        return _useless(request)
    opened = request.session.get(SESSION_KEY, {})
    opened[str(key.share_id)] = {"clinic": str(key.clinic_id), "passed": False}
    request.session[SESSION_KEY] = opened
    return redirect("diagnosis:shared-study", key.share_id)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def shared_study(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Ask for the passcode, show the study, take an opinion."""

    def answer(share: StudyShare) -> HttpResponseBase:
        if share.passcode_hash and not _entry(request, pk)["passed"]:
            return _passcode(request, share)
        form = CommentForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                share_comment(share=share, **form.cleaned_data)
            except DomainError as error:
                form_refused(form, error)
            else:
                return redirect("diagnosis:shared-study", pk)
        elif request.method == "GET":
            share_opened(share=share)
        return _page(request, share, form)

    return _within(request, pk, answer)


@never_cache
@require_safe
def shared_image(request: HttpRequest, pk: UUID, number: int) -> HttpResponseBase:
    """A web-size JPEG of one image; the file itself is not handed out."""

    def answer(share: StudyShare) -> HttpResponseBase:
        if share.passcode_hash and not _entry(request, pk)["passed"]:
            return _useless(request)
        images = share_images(share)
        frame = request.GET.get("frame", "0")
        if number >= len(images) or not frame.isdecimal() or len(frame) > 6:
            raise Http404
        keys = images[number].rendition_keys
        if int(frame) >= len(keys):
            raise Http404
        return object_response(key=keys[int(frame)], content_type="image/jpeg")

    return _within(request, pk, answer)


def _within(
    request: HttpRequest, pk: UUID, answer: Callable[[StudyShare], HttpResponseBase]
) -> HttpResponseBase:
    """Answer in the scope of the link's clinic, while the link works."""
    entry = _entry(request, pk)
    if not entry:
        return _useless(request)
    key = ShareKey(share_id=pk, clinic_id=UUID(entry["clinic"]))
    with clinic_scope(key.clinic_id):
        share = share_usable(key=key)
        return answer(share) if share else _useless(request)


def _passcode(request: HttpRequest, share: StudyShare) -> HttpResponseBase:
    form = PasscodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if not _below_limit(request, "share_passcode"):
            return _too_often(request)
        if share_passcode_check(share=share, passcode=form.cleaned_data["passcode"]):
            opened = request.session[SESSION_KEY]
            opened[str(share.pk)]["passed"] = True
            request.session[SESSION_KEY] = opened
            return redirect("diagnosis:shared-study", share.pk)
        form.add_error("passcode", _("This is not the passcode. Ten wrong ones end the link."))
    status = 422 if form.errors else 200
    return render(request, "diagnosis/shared_passcode.html", {"form": form}, status=status)


def _page(request: HttpRequest, share: StudyShare, form: CommentForm) -> HttpResponse:
    study = share.study
    result = study.result or {}
    found = {image["id"]: image for image in result.get("images", [])}
    images = [
        {"image": image, "number": number, "result": found.get(str(image.pk))}
        for number, image in enumerate(share_images(share))
    ]
    context = {
        "share": share,
        "study": study,
        "images": images,
        "patient": study.patient if share.is_identified else None,
        "age": _age(share),
        "result": result,
        "form": form if share.may_comment else None,
    }
    status = 422 if form.errors else 200
    return render(request, "diagnosis/shared_study.html", context, status=status)


def _age(share: StudyShare) -> str:
    """Return whole years; above 89 an age alone can name a person."""
    born = share.study.patient.birth_date
    if born is None:
        return ""
    taken = share.study.created_at.date()
    years = taken.year - born.year - ((taken.month, taken.day) < (born.month, born.day))
    return f"> {OLDEST_SHOWN_AGE}" if years > OLDEST_SHOWN_AGE else str(max(years, 0))


def _entry(request: HttpRequest, pk: UUID) -> dict[str, Any]:
    entry: dict[str, Any] = request.session.get(SESSION_KEY, {}).get(str(pk), {})
    return entry


def _below_limit(request: HttpRequest, action: str) -> bool:
    usage = ratelimit.consume(request, app="diagnosis", action=action, config=RATES, limit_get=True)
    return bool(usage)


def _too_often(request: HttpRequest) -> HttpResponseBase:
    answer: HttpResponseBase = ratelimit.respond_429(request)
    return answer


def _useless(request: HttpRequest) -> HttpResponse:
    """Return the one answer to every link that does not open (any more)."""
    return render(request, "diagnosis/shared_useless.html", status=404)
