"""Routes of API version 1, below ``/api/v1/``."""

from typing import Any

from django.urls import URLPattern, URLResolver, path, re_path
from rest_framework.routers import SimpleRouter

from diagnosis.api.views.alerts import AlertViewSet
from diagnosis.api.views.annotations import (
    AnnotationViewSet,
    ImageAnnotationsViewSet,
    ImageKeyImagesViewSet,
    KeyImageViewSet,
    StudyAnnotationsViewSet,
    StudyKeyImagesViewSet,
)
from diagnosis.api.views.dashboard import DashboardViewSet
from diagnosis.api.views.deliveries import DeliveryViewSet, DestinationViewSet
from diagnosis.api.views.discrepancies import (
    DiscrepancyViewSet,
    PreliminaryReadViewSet,
    RecallViewSet,
)
from diagnosis.api.views.documentation import DocsView, SchemaView
from diagnosis.api.views.findings import FindingViewSet, StudyFindingsViewSet
from diagnosis.api.views.first_reads import FirstReadViewSet
from diagnosis.api.views.images import ImageViewSet
from diagnosis.api.views.macros import MacroViewSet
from diagnosis.api.views.patients import PatientViewSet
from diagnosis.api.views.reports import ReportViewSet
from diagnosis.api.views.resumable import ResumableUploadViewSet
from diagnosis.api.views.retention import (
    ErasureViewSet,
    PatientExportViewSet,
    PatientPrivacyViewSet,
    RetentionViewSet,
)
from diagnosis.api.views.site import (
    AuditEventViewSet,
    MeViewSet,
    ModelVersionViewSet,
    UnknownAddressViewSet,
)
from diagnosis.api.views.studies import StudyViewSet

app_name = "api"

router = SimpleRouter(use_regex_path=False)
router.register("patients", PatientViewSet, basename="patient")
router.register("studies", StudyViewSet, basename="study")
router.register("images", ImageViewSet, basename="image")
router.register("findings", FindingViewSet, basename="finding")
router.register("alerts", AlertViewSet, basename="alert")
router.register("discrepancies", DiscrepancyViewSet, basename="discrepancy")
router.register("recalls", RecallViewSet, basename="recall")
router.register("annotations", AnnotationViewSet, basename="annotation")
router.register("key-images", KeyImageViewSet, basename="keyimage")
router.register("macros", MacroViewSet, basename="macro")
router.register("reports", ReportViewSet, basename="report")
router.register("destinations", DestinationViewSet, basename="destination")
router.register("deliveries", DeliveryViewSet, basename="delivery")
router.register("erasures", ErasureViewSet, basename="erasure")
router.register("exports", PatientExportViewSet, basename="export")
router.register("models", ModelVersionViewSet, basename="model")
router.register("audit-events", AuditEventViewSet, basename="audit-event")

_UNKNOWN: dict[str, Any] = dict.fromkeys(["get", "post", "put", "patch", "delete"], "unknown")

urlpatterns: list[URLPattern | URLResolver] = [
    path("me/", MeViewSet.as_view({"get": "retrieve"}), name="me"),
    path("dashboard/", DashboardViewSet.as_view({"get": "retrieve"}), name="dashboard"),
    path(
        "retention/",
        RetentionViewSet.as_view({"get": "retrieve", "put": "update"}),
        name="retention",
    ),
    *(
        path(
            f"patients/<uuid:pk>/{verb}/",
            PatientPrivacyViewSet.as_view({"post": method}),
            name=f"patient-{verb}",
        )
        for verb, method in (
            ("erase", "erase"),
            ("hold", "hold"),
            ("release-hold", "release"),
            ("export", "export"),
        )
    ),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(), name="docs"),
    path(
        "studies/<uuid:pk>/first-read/",
        FirstReadViewSet.as_view({"post": "create"}),
        name="study-first-read",
    ),
    path(
        "studies/<uuid:pk>/findings/",
        StudyFindingsViewSet.as_view({"get": "retrieve", "post": "create"}),
        name="study-findings",
    ),
    path(
        "studies/<uuid:pk>/preliminary/",
        PreliminaryReadViewSet.as_view({"get": "retrieve", "post": "create"}),
        name="study-preliminary",
    ),
    path(
        "studies/<uuid:pk>/annotations/",
        StudyAnnotationsViewSet.as_view({"get": "retrieve"}),
        name="study-annotations",
    ),
    path(
        "studies/<uuid:pk>/key-images/",
        StudyKeyImagesViewSet.as_view({"get": "retrieve"}),
        name="study-key-images",
    ),
    path(
        "images/<uuid:pk>/annotations/",
        ImageAnnotationsViewSet.as_view({"post": "create"}),
        name="image-annotations",
    ),
    path(
        "images/<uuid:pk>/key-images/",
        ImageKeyImagesViewSet.as_view({"post": "create"}),
        name="image-key-images",
    ),
    path(
        "studies/<uuid:pk>/uploads/",
        ResumableUploadViewSet.as_view({"post": "create"}),
        name="study-uploads",
    ),
    path(
        "uploads/<uuid:pk>/",
        ResumableUploadViewSet.as_view(
            {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
        ),
        name="upload-detail",
    ),
    path(
        "uploads/<uuid:pk>/image/",
        ResumableUploadViewSet.as_view({"post": "image"}),
        name="upload-image",
    ),
    *router.urls,
    re_path(r"", UnknownAddressViewSet.as_view(_UNKNOWN, schema=None), name="unknown"),
]
