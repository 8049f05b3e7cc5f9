"""Pages of the machines that send images, for those who run the clinic."""

from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts.policy import Action, require
from diagnosis.models import Device
from diagnosis.selectors.devices import device_get, device_list
from diagnosis.services.devices import device_create, device_update
from diagnosis.web.doors import MemberRequest, form_refused, member_required
from fracture_site.common.errors import DomainError


class DeviceForm(forms.ModelForm[Device]):
    """How a machine is recognised; the rules are in the service."""

    class Meta:
        model = Device
        fields = ["name", "ae_title", "certificate_sha256", "address", "is_enabled"]
        help_texts = {
            "certificate_sha256": gettext_lazy("64 hexadecimal digits, of the client certificate."),
            "address": gettext_lazy("For a machine without a certificate, in a trusted network."),
        }

    def _post_clean(self) -> None:
        """Leave the rules to the service, which says them at the fields."""


@member_required
@require_safe
def devices_page(request: MemberRequest) -> HttpResponse:
    """List the machines, and say what they need to know of us."""
    _require_manager(request)
    context = {
        "section": "clinic",
        "devices": device_list(user=request.user),
        "our_ae_title": settings.DIMSE_AE_TITLE,
        "our_port": settings.DIMSE_PORT,
    }
    return render(request, "diagnosis/devices.html", context)


@member_required
@require_http_methods(["GET", "POST"])
def device_create_page(request: MemberRequest) -> HttpResponseBase:
    """Let a machine in."""
    _require_manager(request)
    return _form_page(request, None)


@member_required
@require_http_methods(["GET", "POST"])
def device_edit_page(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Change a machine, or keep it out."""
    _require_manager(request)
    return _form_page(request, device_get(user=request.user, pk=pk))


def _form_page(request: MemberRequest, device: Device | None) -> HttpResponseBase:
    form = DeviceForm(request.POST or None, instance=device)
    if request.method == "POST" and form.is_valid():
        try:
            if device is None:
                clinic_id = request.membership.clinic_id
                device_create(actor=request.user, clinic_id=clinic_id, **form.cleaned_data)
            else:
                present = device_get(user=request.user, pk=device.pk)
                device_update(actor=request.user, device=present, **form.cleaned_data)
        except DomainError as error:
            form_refused(form, error)
        else:
            messages.success(request, _("The device was saved."))
            return redirect("diagnosis:devices")
    context = {"section": "clinic", "form": form, "device": device}
    status = 422 if form.errors else 200
    return render(request, "diagnosis/device_form.html", context, status=status)


def _require_manager(request: MemberRequest) -> None:
    clinic_id = request.membership.clinic_id
    require(user=request.user, action=Action.DESTINATION_MANAGE, clinic_id=clinic_id)
