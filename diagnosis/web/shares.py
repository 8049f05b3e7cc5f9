"""Making and revoking links for a second opinion, inside of the clinic."""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.policy import Action, require
from diagnosis.selectors import study_get
from diagnosis.selectors.shares import share_get, share_list
from diagnosis.services.shares import share_create, share_revoke
from diagnosis.web.doors import MemberRequest, form_refused, member_required
from diagnosis.web.share_forms import ShareForm
from fracture_site.common.errors import DomainError


@member_required
@require_http_methods(["GET", "POST"])
def share_page(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """The study's links; a new one is shown once, on the answer to the form."""
    study = study_get(user=request.user, pk=pk)
    require(user=request.user, action=Action.STUDY_SHARE, clinic_id=study.clinic_id)
    form, link = ShareForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            _share, secret = share_create(actor=request.user, study=study, **form.cleaned_data)
        except DomainError as error:
            form_refused(form, error)
        else:
            path = reverse("diagnosis:shared-open", kwargs={"secret": secret})
            link, form = settings.BASE_URL.rstrip("/") + path, ShareForm()
    context = {
        "section": "worklist",
        "study": study,
        "form": form,
        "link": link,
        "shares": share_list(user=request.user, study=study),
        "now": timezone.now(),
    }
    status = 422 if form.errors else 200
    return render(request, "diagnosis/study_shares.html", context, status=status)


@member_required
@require_POST
def share_revoke_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """End a link."""
    share = share_get(user=request.user, pk=pk)
    share_revoke(actor=request.user, share=share)
    messages.success(request, _("The link is revoked."))
    return redirect("diagnosis:study-shares", share.study_id)
