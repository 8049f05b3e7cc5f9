"""Registering SMART apps, and stopping them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin_base import ReadOnlyAdmin
from accounts.services.smart import smart_app_check, smart_app_create, smart_app_stop
from accounts.smart_models import SmartApp
from accounts.web.access import actor_of
from accounts.web.forms import add_domain_error
from fracture_site.common.errors import DomainError


class SmartAppForm(forms.ModelForm):  # type: ignore[type-arg]
    """One address a line: an address may hold a comma."""

    redirect_uris = forms.CharField(
        label=_("Addresses"),
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Where people are sent back to, exactly; one a line."),
    )

    class Meta:
        model = SmartApp
        fields = ["name", "redirect_uris"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["redirect_uris"] = "\n".join(self.instance.redirect_uris or [])

    def clean_redirect_uris(self) -> list[str]:
        """Return the lines that hold something."""
        lines = str(self.cleaned_data["redirect_uris"]).splitlines()
        return [line.strip() for line in lines if line.strip()]

    def clean(self) -> dict[str, Any]:
        """Ask the service's rules before anything is written."""
        found = dict(super().clean() or self.cleaned_data)
        try:
            smart_app_check(found.get("name", ""), found.get("redirect_uris", []))
        except DomainError as error:
            add_domain_error(self, error)
        return found


@admin.register(SmartApp)
class SmartAppAdmin(ReadOnlyAdmin):
    """Public clients are added here, without a secret; any app is stopped, its tokens with it."""

    form = SmartAppForm
    list_display = ["name", "client_id", "is_active", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["name"]
    readonly_fields = ["client_id", "created_at"]
    actions = ["stop"]

    def has_add_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """Allow operators of the site."""
        return bool(request.user.is_active and getattr(request.user, "is_staff", False))

    def get_fields(self, _request: HttpRequest, obj: Any = None) -> Any:
        """Show the id of an app that exists."""
        known = ["client_id", "is_active", "created_at"] if obj else []
        return ["name", "redirect_uris", *known]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002, FBT001
        """Register through the service, which audits it."""
        values = {name: form.cleaned_data[name] for name in ("name", "redirect_uris")}
        created = smart_app_create(actor=actor_of(request), **values)
        obj.pk = created.pk
        obj._state.adding = False

    @admin.action(description=_("Stop the chosen apps"), permissions=["view"])
    def stop(self, request: HttpRequest, queryset: QuerySet[SmartApp]) -> None:
        """Let apps in no more; their tokens end with the next request."""
        for app in queryset:
            smart_app_stop(actor=actor_of(request), app=app)
