"""What the pages of site operations share: nothing is deleted, every change is in the trail."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.audit import audit_record
from accounts.models import Clinic
from accounts.tenancy import clinic_scope
from accounts.web.access import actor_of


class OperationsAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Nothing is deleted here; what changes is named in the trail."""

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Refuse: people and clinics are switched off, and their history stays."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Store the row and the names of the changed fields, in the clinic that it concerns."""
        clinic_id = obj.pk if isinstance(obj, Clinic) else getattr(obj, "clinic_id", None)
        with clinic_scope(clinic_id):
            super().save_model(request, obj, form, change)
            audit_record(
                actor=actor_of(request),
                action=f"admin.{obj._meta.model_name}.{'change' if change else 'add'}",
                clinic_id=clinic_id,
                target=obj,
                fields=sorted(form.changed_data),
            )


class ReadOnlyAdmin(OperationsAdmin):
    """Pages to look at."""

    def has_add_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Refuse."""
        return False
