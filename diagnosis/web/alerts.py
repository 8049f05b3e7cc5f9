"""Critical results: the bell, the list, the answer."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from diagnosis.selectors.alerts import alert_get, alert_list, alerts_open_count
from diagnosis.services.alerts import alert_acknowledge
from diagnosis.services.reading import list_open
from diagnosis.web.doors import MemberRequest, member_required, tell_and_go
from fracture_site.common.errors import DomainError

SHOWN = 50


@member_required
@require_safe
def alert_list_page(request: MemberRequest) -> HttpResponse:
    """What waits for an answer, then what was answered lately."""
    alerts = alert_list(user=request.user)
    waiting = list(alerts.filter(acknowledged_at__isnull=True)[: SHOWN * 2])
    answered = list(alerts.filter(acknowledged_at__isnull=False)[:SHOWN])
    context = {"section": "alerts", "waiting": waiting, "answered": answered}
    list_open(
        actor=request.user,
        clinic_id=request.membership.clinic_id,
        noun="alert",
        patients=(alert.study.patient_id for alert in (*waiting, *answered)),
    )
    return render(request, "diagnosis/alert_list.html", context)


@member_required
@require_safe
def alert_bell(request: MemberRequest) -> HttpResponse:
    """The number beside the bell; the navigation asks for it."""
    context = {"count": alerts_open_count(user=request.user)}
    return render(request, "diagnosis/_alert_bell.html", context)


@member_required
@require_POST
def alert_acknowledge_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Answer an alert."""
    try:
        alert = alert_acknowledge(actor=request.user, alert=alert_get(user=request.user, pk=pk))
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:alert-list")
    if alert.acknowledged_by == request.user:
        messages.success(request, _("You have acknowledged the result."))
    elif alert.acknowledged_by:
        text = _("%(name)s was faster and has acknowledged the result.")
        messages.info(request, text % {"name": alert.acknowledged_by.display_name})
    if request.POST.get("back") == "study":
        return redirect("diagnosis:study-detail", alert.study_id)
    return redirect("diagnosis:alert-list")
