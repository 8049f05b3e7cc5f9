"""Which systems may send HL7 messages: all clinics' senders on one page, to add and to stop."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from accounts.models import Clinic, Membership, User
from accounts.tenancy import clinic_scope
from accounts.web.forms import add_domain_error
from diagnosis.models import Hl7Sender
from diagnosis.models.hl7 import CHARACTER_SETS
from diagnosis.services.hl7_senders import hl7_sender_create, hl7_sender_stop
from fracture_site.common.errors import DomainError


class SenderForm(forms.Form):
    """A new sender; the rules are the service's."""

    membership = forms.ModelChoiceField(
        label=_("Acts with the rights of"),
        queryset=Membership.objects.filter(is_active=True, clinic__is_active=True)
        .select_related("user", "clinic")
        .order_by("clinic__name", "user__email"),
        help_text=_("A member of the clinic; what that member may not do is refused."),
    )
    name = forms.CharField(label=_("Name"), max_length=100, required=False)
    sending_application = forms.CharField(label=_("Sending application (MSH-3)"), max_length=180)
    sending_facility = forms.CharField(
        label=_("Sending facility (MSH-4)"), max_length=180, required=False
    )
    networks = forms.CharField(
        label=_("Networks"), required=False, help_text=_("192.0.2.0/24; several with commas.")
    )
    certificate_sha256 = forms.CharField(
        label=_("SHA-256 of its certificate"), max_length=100, required=False
    )
    assigning_authority = forms.CharField(
        label=_("Assigning authority of record numbers (PID-3.4)"), max_length=100, required=False
    )
    character_set = forms.ChoiceField(
        label=_("Character set when MSH-18 is empty"), required=False,
        choices=[(name, name or "-") for name in CHARACTER_SETS],
    )  # fmt: skip
    procedures = forms.JSONField(
        label=_("Procedures (JSON)"), required=False, widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_('{"XR-WRIST": {"body_part": "wrist"}}'),
    )  # fmt: skip

    def values(self) -> dict[str, Any]:
        """Return what the service takes."""
        found = dict(self.cleaned_data)
        found["networks"] = [part for part in found["networks"].split(",") if part.strip()]
        return found | {"procedures": found["procedures"] or {}}


@admin.register(Hl7Sender)
class Hl7SenderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """One page; rows lie behind their clinics' walls, so each clinic is asked for its own."""

    def get_urls(self) -> list[URLPattern]:
        """Serve the one page."""
        view = self.admin_site.admin_view(self.senders)
        return [path("", view, name="diagnosis_hl7sender_changelist")]

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Refuse the page that Django would make; this one has its own form."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Refuse: a sender is stopped, and what it sent stays."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Refuse the page that Django would make."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Allow operators of the site."""
        return bool(request.user.is_active and getattr(request.user, "is_staff", False))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to operators."""
        return self.has_view_permission(request)

    def senders(self, request: HttpRequest) -> HttpResponse:
        """List the senders, add one, or stop one."""
        if not isinstance(request.user, User) or not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST" and "stop" in request.POST:
            return self._stop(request, request.user)
        form = SenderForm(request.POST or None)
        if form.is_valid():
            try:
                hl7_sender_create(actor=request.user, **form.values())
            except DomainError as error:
                add_domain_error(form, error)
            else:
                messages.success(request, _("The system may send from now on."))
                return redirect("admin:diagnosis_hl7sender_changelist")
        context = self.admin_site.each_context(request) | {
            "title": _("HL7 senders"), "opts": self.opts, "form": form, "rows": _all_senders(),
        }  # fmt: skip
        return render(request, "admin/diagnosis/hl7sender/senders.html", context)

    def _stop(self, request: HttpRequest, actor: User) -> HttpResponse:
        clinic, _slash, sender = request.POST["stop"].partition("/")
        known = {(str(row.clinic_id), str(row.pk)): row for row in _all_senders()}
        row = known.get((clinic, sender))
        if row is None:
            raise Http404
        hl7_sender_stop(actor=actor, clinic_id=row.clinic_id, sender_id=row.pk)
        messages.success(request, _("Nothing more is taken from it."))
        return redirect("admin:diagnosis_hl7sender_changelist")


def _all_senders() -> list[Hl7Sender]:
    found: list[Hl7Sender] = []
    for clinic in Clinic.objects.order_by("name"):
        with clinic_scope(clinic.pk):
            rows = Hl7Sender.objects.select_related("membership__user", "clinic")
            found += rows.order_by("name")
    return found
