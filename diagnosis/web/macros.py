"""Short names for texts: a person's own, and the clinic's."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.policy import Action, allowed_actions, require
from diagnosis.selectors.drafting import macro_get, macro_list
from diagnosis.services.drafting import macro_delete, macro_save
from diagnosis.web.doors import MemberRequest, form_refused, member_required, tell_and_go
from fracture_site.common.errors import DomainError


class MacroForm(forms.Form):
    """A name and what it inserts."""

    name = forms.CharField(label=_("Name"), max_length=21, help_text=_("Typed as .name and Tab"))
    text = forms.CharField(
        label=_("Text"), max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )
    for_clinic = forms.BooleanField(label=_("For everybody in the clinic"), required=False)


@member_required
@require_http_methods(["GET", "POST"])
def macro_page(request: MemberRequest) -> HttpResponseBase:
    """Show the macros; store one."""
    clinic_id = request.membership.clinic_id
    can = allowed_actions(user=request.user, clinic_id=clinic_id)
    if Action.REPORT_WRITE not in can and Action.CLINIC_SETTINGS not in can:
        require(user=request.user, action=Action.REPORT_WRITE, clinic_id=clinic_id)
    form = MacroForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            macro_save(actor=request.user, clinic_id=clinic_id, **form.cleaned_data)
        except DomainError as error:
            form_refused(form, error)
        else:
            messages.success(request, gettext("The macro was saved."))
            return redirect("diagnosis:macros")
    if Action.CLINIC_SETTINGS not in can:
        del form.fields["for_clinic"]
    context: dict[str, Any] = {"section": "account", "form": form}
    context["macros"] = macro_list(user=request.user)
    return render(request, "diagnosis/macros.html", context, status=422 if form.errors else 200)


@member_required
@require_POST
def macro_delete_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Remove one."""
    macro = macro_get(user=request.user, pk=pk)
    try:
        macro_delete(actor=request.user, macro=macro)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:macros")
    return redirect("diagnosis:macros")
