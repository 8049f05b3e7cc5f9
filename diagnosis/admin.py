"""The site's operations desk: jobs, model versions, clinical rows to look at, never to change."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.audit import audit_record
from accounts.models import Membership, User
from accounts.policy import Action, allowed_actions
from diagnosis.admin_hl7 import Hl7SenderAdmin
from diagnosis.models import (
    Analysis,
    ClinicOwnedModel,
    JobOverview,
    ModelVersion,
    Patient,
    Report,
    Study,
    StudyImage,
)
from diagnosis.services.analyses import analysis_cancel, analysis_requeue
from fracture_site.common.errors import DomainError

__all__ = ["Hl7SenderAdmin"]  # and everything below: all register themselves

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
else:  # the class takes no parameters at run time
    AnyAdmin = admin.ModelAdmin


class ReadOnlyAdmin(AnyAdmin):
    """Nothing is added, changed or deleted here; actions call services."""

    def has_add_permission(self, *_args: Any, **_kwargs: Any) -> bool:
        """Never."""
        return False

    def has_change_permission(self, *_args: Any, **_kwargs: Any) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, *_args: Any, **_kwargs: Any) -> bool:
        """Never."""
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to whoever may see something of it."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """Allow operators of the site."""
        user = request.user
        return bool(user.is_active and getattr(user, "is_staff", False))


@admin.register(JobOverview)
class JobOverviewAdmin(ReadOnlyAdmin):
    """Jobs of all clinics: ids, states and times, nothing of a patient."""

    list_display = (
        "id", "kind", "clinic", "status", "priority", "attempts", "error_code", "created_at",
        "due_at", "started_at", "finished_at",
    )  # fmt: skip
    list_filter = ("kind", "status", "priority", "error_code", "clinic")
    list_select_related = ("clinic",)
    ordering = ("-created_at",)
    show_full_result_count = False
    actions = ("requeue", "cancel")

    @admin.action(description=gettext_lazy("Run the chosen jobs again"), permissions=["view"])
    def requeue(self, request: HttpRequest, queryset: QuerySet[JobOverview]) -> None:
        """Give failed, cancelled or stuck jobs all their attempts again."""
        self._each(request, queryset, analysis_requeue)

    @admin.action(description=gettext_lazy("Cancel the chosen jobs"), permissions=["view"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[JobOverview]) -> None:
        """End jobs that are waiting or running."""
        self._each(request, queryset, analysis_cancel)

    def _each(
        self, request: HttpRequest, jobs: QuerySet[JobOverview], service: Callable[..., None]
    ) -> None:
        done = refused = 0
        # Deliveries are the clinic's own business; it sends them again from its pages.
        others = jobs.exclude(kind="analysis").count()
        for job_id, clinic_id in jobs.filter(kind="analysis").values_list("pk", "clinic_id"):
            try:
                service(actor=_operator(request), clinic_id=clinic_id, analysis_id=job_id)
                done += 1
            except DomainError:
                refused += 1
        self.message_user(request, _("Jobs changed: %(done)d.") % {"done": done})
        if refused := refused + others:
            text = _("Jobs whose state does not allow it: %(refused)d.") % {"refused": refused}
            self.message_user(request, text, messages.WARNING)


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    """The registered artifacts; the page *Models* and ``manage.py model_*`` put them to use."""

    list_display = (
        "name", "version", "stage", "sha256", "threshold_suspicion", "threshold_definite",
        "created_at",
    )  # fmt: skip
    ordering = ("stage", "-created_at")


class ClinicalAdmin(ReadOnlyAdmin):
    """Clinical rows of the operator's current clinic; needs a membership, each look is audited."""

    show_full_result_count = False
    exclude = ("search",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow operators who are members of the current clinic and may read studies there."""
        membership: Membership | None = getattr(request, "membership", None)
        if membership is None or not super().has_view_permission(request, obj):
            return False
        allowed = allowed_actions(user=_operator(request), clinic_id=membership.clinic_id)
        return Action.STUDY_VIEW in allowed

    def get_queryset(self, request: HttpRequest) -> QuerySet[ClinicOwnedModel]:
        """Return the rows of the current clinic; the database knows no others either."""
        rows: QuerySet[ClinicOwnedModel] = self.model.objects.for_user(request.user)
        return rows

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, which names record numbers, and write down who looked."""
        membership: Membership | None = getattr(request, "membership", None)
        if membership is not None and self.has_view_permission(request):
            audit_record(
                actor=_operator(request),
                action="admin.list",
                clinic_id=membership.clinic_id,
                model=self.opts.label_lower,
            )
        return super().changelist_view(request, extra_context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one row and write down who looked."""
        row = self.get_object(request, object_id) if object_id else None
        if row is not None and self.has_view_permission(request, row):
            patient_id = row.pk if isinstance(row, Patient) else getattr(row, "patient_id", None)
            audit_record(
                actor=_operator(request),
                action="admin.view",
                clinic_id=row.clinic_id,
                target=row,
                patient_id=patient_id,
            )
        return super().changeform_view(request, object_id, form_url, extra_context)


@admin.register(Patient)
class PatientAdmin(ClinicalAdmin):
    """People of the current clinic."""

    list_display = ("id", "record_number", "merged_into_id", "created_at")


@admin.register(Study)
class StudyAdmin(ClinicalAdmin):
    """Imaging requests."""

    list_display = ("id", "status", "verdict", "priority", "urgency", "created_at")
    list_filter = ("status", "verdict", "priority")


@admin.register(StudyImage)
class StudyImageAdmin(ClinicalAdmin):
    """Stored images: formats and hashes, no pixels."""

    list_display = ("id", "study_id", "format", "modality", "width", "height", "created_at")


@admin.register(Analysis)
class AnalysisAdmin(ClinicalAdmin):
    """Runs of the model."""

    list_display = ("id", "image_id", "status", "verdict", "attempts", "error_code", "created_at")
    list_filter = ("status", "verdict")


@admin.register(Report)
class ReportAdmin(ClinicalAdmin):
    """Reports, without their text."""

    list_display = ("id", "study_id", "created_at")


def _operator(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
