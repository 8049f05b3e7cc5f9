"""Reads for the FHIR interface: rows in a fixed order, with the time each was last changed.

Every queryset has ``fhir_at`` (when it began to be, which never changes and orders the pages) and
``fhir_updated`` (what ``_lastUpdated`` searches).
"""

from typing import Any

from django.db.models import (
    DateTimeField,
    Exists,
    F,
    Max,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
)
from django.db.models.functions import Coalesce, Greatest

from accounts.models import AuditEvent, User
from accounts.tenancy import current_clinic_id
from diagnosis.models import (
    Analysis,
    Finding,
    ModelVersion,
    Order,
    Patient,
    Report,
    ReportVersion,
    Study,
    StudyImage,
)
from diagnosis.selectors.first_reads import ai_shown

_SIGNED = ReportVersion.Status.SIGNED


def fhir_patients(*, user: User) -> QuerySet[Patient]:
    """Return the clinic's patients, merged ones too: they say what replaces them."""
    patients = Patient.objects.for_user(user).defer("search")
    return patients.annotate(fhir_at=F("created_at"), fhir_updated=F("updated_at"))


def fhir_orders(*, user: User) -> QuerySet[Order]:
    """Return orders with their studies."""
    orders = Order.objects.for_user(user).select_related("study").defer("study__search")
    return orders.annotate(
        fhir_at=F("created_at"), fhir_updated=Greatest("updated_at", "study__updated_at")
    )


def fhir_studies(*, user: User) -> QuerySet[Study]:
    """Return studies with images and orders."""
    images = StudyImage.objects.for_user(user).order_by("position", "created_at", "id")
    orders = Order.objects.for_user(user).only("id", "study_id").order_by("created_at", "id")
    studies = Study.objects.for_user(user).defer("search", "result")
    return studies.prefetch_related(
        Prefetch("images", images), Prefetch("orders", orders)
    ).annotate(fhir_at=F("created_at"), fhir_updated=F("updated_at"))


def fhir_analyses(*, user: User) -> Any:
    """Return results that count: an image's newest, and those that a signed report knew.

    ``signed_at`` is the first signature that was put while the result was its image's newest.
    """
    succeeded = Analysis.objects.for_user(user).filter(
        ai_shown(user=user, study="image__study"), status=Analysis.Status.SUCCEEDED
    )
    findings = Finding.objects.for_user(user).order_by("-probability", "id")
    return _with_signature(succeeded, user, "").prefetch_related(Prefetch("findings", findings))


def fhir_findings(*, user: User) -> Any:
    """Return the findings of ``fhir_analyses``."""
    shown = ai_shown(user=user, study="analysis__image__study")
    return _with_signature(Finding.objects.for_user(user).filter(shown), user, "analysis__")


def fhir_reports(*, user: User) -> QuerySet[Report]:
    """Return reports with their versions; ``signed_number`` is the newest signed version's."""
    versions = ReportVersion.objects.for_user(user).order_by("number")
    signed = Q(versions__status=_SIGNED)
    return (
        Report.objects.for_user(user)
        .select_related("study")
        .prefetch_related(Prefetch("versions", versions))
        .defer("study__search")
        .annotate(
            signed_number=Max("versions__number", filter=signed),
            signed_at=Max("versions__signed_at"),
            fhir_at=F("created_at"),
            fhir_updated=Coalesce(Max("versions__signed_at"), Max("versions__updated_at")),
        )
    )


def fhir_signed_versions(*, user: User) -> QuerySet[ReportVersion]:
    """Return signed versions with report and study."""
    versions = ReportVersion.objects.for_user(user).filter(status=_SIGNED)
    return (
        versions.select_related("report__study")
        .defer("report__study__search")
        .annotate(fhir_at=F("signed_at"), fhir_updated=F("signed_at"))
    )


def fhir_models() -> QuerySet[ModelVersion]:
    """Return all registered models; they hold nothing of a patient."""
    return ModelVersion.objects.annotate(fhir_at=F("created_at"), fhir_updated=F("created_at"))


def fhir_audit_events() -> QuerySet[AuditEvent]:
    """Return the current clinic's trail; the caller has required the right to read it."""
    events = AuditEvent.objects.filter(clinic=current_clinic_id())
    return events.annotate(fhir_at=F("at"), fhir_updated=F("at"))


def earlier_signed_versions(
    *, user: User, versions: list[ReportVersion]
) -> dict[Any, list[ReportVersion]]:
    """Return all signed versions of the same reports, by report."""
    found: dict[Any, list[ReportVersion]] = {}
    reports = {version.report_id for version in versions}
    signed = ReportVersion.objects.for_user(user).filter(report__in=reports, status=_SIGNED)
    for row in signed.order_by("number"):
        found.setdefault(row.report_id, []).append(row)
    return found


def _with_signature(rows: Any, user: User, prefix: str) -> Any:
    """Annotate the signature that knew the result, and keep what counts."""
    newer = Analysis.objects.for_user(user).filter(
        status=Analysis.Status.SUCCEEDED,
        image=OuterRef(f"{prefix}image"),
        created_at__gt=OuterRef(f"{prefix}created_at"),
    )
    replaced = Analysis.objects.for_user(user).filter(
        status=Analysis.Status.SUCCEEDED,
        image=OuterRef(OuterRef(f"{prefix}image")),
        created_at__gt=OuterRef(OuterRef(f"{prefix}created_at")),
        finished_at__lte=OuterRef("signed_at"),
    )
    signatures = (
        ReportVersion.objects.for_user(user)
        .filter(
            status=_SIGNED,
            report__study=OuterRef(f"{prefix}image__study"),
            signed_at__gte=OuterRef(f"{prefix}finished_at"),
        )
        .exclude(Exists(replaced))
        .order_by("signed_at")
        .values("signed_at")[:1]
    )
    image = f"{prefix}image"
    return (
        rows.annotate(signed_at=Subquery(signatures, output_field=DateTimeField()))
        .filter(~Exists(newer) | Q(signed_at__isnull=False))
        .select_related(f"{image}__study", f"{prefix}model_version")
        .defer(f"{image}__study__search")
        .annotate(
            fhir_at=F(f"{prefix}finished_at"),
            # A recall of the model changes what is told of its results.
            fhir_updated=Greatest(
                Coalesce(F("signed_at"), F(f"{prefix}finished_at")),
                F(f"{prefix}model_version__recalled_at"),
            ),
        )
    )
