"""Pages of destinations and deliveries, for those who run the clinic."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.policy import Action, allowed_actions, require
from diagnosis.models import Destination
from diagnosis.selectors import study_get
from diagnosis.selectors.deliveries import (
    delivery_get,
    delivery_list,
    destination_get,
    destination_list,
)
from diagnosis.services.deliveries import delivery_cancel, delivery_send_again
from diagnosis.services.destinations import (
    destination_create,
    destination_test,
    destination_update,
)
from diagnosis.services.exports import study_export_deidentified
from diagnosis.storage import download
from diagnosis.web.delivery_forms import DeliveryFilterForm, DestinationForm
from diagnosis.web.delivery_words import delivery_row, reason_text
from diagnosis.web.doors import MemberRequest, form_refused, member_required, tell_and_go
from fracture_site.common.errors import DomainError

PAGE = 50


@member_required
@require_safe
def destinations_page(request: MemberRequest) -> HttpResponse:
    """List where results go."""
    _require_manager(request)
    context = {"section": "clinic", "destinations": destination_list(user=request.user)}
    return render(request, "diagnosis/destinations.html", context)


@member_required
@require_http_methods(["GET", "POST"])
def destination_create_page(request: MemberRequest) -> HttpResponseBase:
    """Set up a destination."""
    _require_manager(request)
    return _form_page(request, None)


@member_required
@require_http_methods(["GET", "POST"])
def destination_edit_page(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Change a destination."""
    _require_manager(request)
    return _form_page(request, destination_get(user=request.user, pk=pk))


def _form_page(request: MemberRequest, destination: Destination | None) -> HttpResponseBase:
    form = DestinationForm(request.POST or None, instance=destination)
    if request.method == "POST" and form.is_valid():
        try:
            if destination is None:
                destination_create(
                    actor=request.user,
                    clinic_id=request.membership.clinic_id,
                    secrets=form.secrets(),
                    **form.fields_given(),
                )
            else:
                destination_update(
                    actor=request.user,
                    destination=destination_get(user=request.user, pk=destination.pk),
                    secrets=form.secrets(),
                    **form.fields_given(),
                )
        except DomainError as error:
            form_refused(form, error)
        else:
            messages.success(request, _("The destination was saved. Test the connection."))
            return redirect("diagnosis:destinations")
    context = {"section": "clinic", "form": form, "destination": destination}
    status = 422 if form.errors else 200
    return render(request, "diagnosis/destination_form.html", context, status=status)


@member_required
@require_POST
def destination_test_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Ask the system whether it answers."""
    destination = destination_get(user=request.user, pk=pk)
    code = destination_test(actor=request.user, destination=destination)
    if code:
        text = _("%(name)s: %(reason)s") % {"name": destination.name, "reason": reason_text(code)}
        messages.error(request, text)
    else:
        messages.success(request, _("%(name)s answers.") % {"name": destination.name})
    return redirect("diagnosis:destinations")


@member_required
@require_safe
def deliveries_page(request: MemberRequest) -> HttpResponse:
    """List what was sent, what waits and what failed, newest first."""
    form = DeliveryFilterForm(request.GET, destinations=destination_list(user=request.user))
    rows = delivery_list(user=request.user).filter(**form.filters())
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    actions = allowed_actions(user=request.user, clinic_id=request.membership.clinic_id)
    context = {
        "section": "clinic",
        "form": form,
        "page": page,
        "rows": [delivery_row(row) for row in page],
        "query": form.query(),
        "may_send": Action.DELIVERY_SEND in actions,
    }
    return render(request, "diagnosis/deliveries.html", context)


@member_required
@require_POST
def delivery_again_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Send a failed one again."""
    delivery = delivery_get(user=request.user, pk=pk)
    try:
        delivery_send_again(actor=request.user, delivery=delivery)
    except DomainError as error:
        return tell_and_go(request, error, _back(request))
    messages.success(request, _("It is sent again."))
    return redirect(_back(request))


@member_required
@require_POST
def delivery_cancel_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Give up one that waits."""
    delivery = delivery_get(user=request.user, pk=pk)
    try:
        delivery_cancel(actor=request.user, delivery=delivery)
    except DomainError as error:
        return tell_and_go(request, error, _back(request))
    messages.success(request, _("It is not sent any more."))
    return redirect(_back(request))


@member_required
@require_safe
def study_deidentified_file(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Give a study's images away without identity; the export is audited."""
    study = study_get(user=request.user, pk=pk)
    try:
        content = study_export_deidentified(actor=request.user, study=study)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", study.pk)
    return download(content)


def _require_manager(request: MemberRequest) -> None:
    clinic_id = request.membership.clinic_id
    require(user=request.user, action=Action.DESTINATION_MANAGE, clinic_id=clinic_id)


def _back(request: MemberRequest) -> str:
    target = request.POST.get("next", "")
    own = url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure())
    return target if own and target.startswith("/") else "diagnosis:deliveries"
