"""The clinic's reading rules."""

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.policy import Action, require
from accounts.selectors import member_list
from diagnosis.selectors.rules import rules_of, rules_stored
from diagnosis.services.worklist_settings import clinic_rules_update
from diagnosis.web.doors import MemberRequest, form_refused, member_required
from diagnosis.web.rules_form import RulesForm, rules_initial
from fracture_site.common.errors import DomainError


@member_required
@require_http_methods(["GET", "POST"])
def rules_page(request: MemberRequest) -> HttpResponseBase:
    """Show and change targets, expected views and critical results."""
    clinic_id = request.membership.clinic_id
    require(user=request.user, action=Action.CLINIC_SETTINGS, clinic_id=clinic_id)
    stored = rules_stored(user=request.user)
    people = [
        (str(member.user_id), member.user.display_name)
        for member in member_list(clinic_id=clinic_id)
        if member.is_in_force and member.user.is_active
    ]
    initial = rules_initial(rules_of(stored), stored)
    form = RulesForm(request.POST or None, initial=initial, people=people)
    if request.method == "POST" and form.is_valid():
        try:
            clinic_rules_update(actor=request.user, clinic_id=clinic_id, **form.changes())
        except DomainError as error:
            form_refused(form, error)
        else:
            messages.success(request, _("The rules were saved."))
            return redirect("diagnosis:clinic-rules")
    context = {"section": "clinic", "form": form, "stored": stored}
    status = 422 if form.errors else 200
    return render(request, "diagnosis/clinic_rules.html", context, status=status)
