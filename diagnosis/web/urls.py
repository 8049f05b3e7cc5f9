"""Pages of patients, studies and reports."""

from django.urls import path

from diagnosis.web import annotations, images, patients, reports, studies, viewer, worklist

app_name = "diagnosis"
urlpatterns = [
    path("", worklist.worklist_page, name="worklist"),
    path("worklist/rows/", worklist.worklist_rows, name="worklist-rows"),
    path("patients/", patients.patient_list_page, name="patient-list"),
    path("patients/new/", patients.patient_create_page, name="patient-create"),
    path("patients/<uuid:pk>/", patients.patient_page, name="patient-detail"),
    path("patients/<uuid:pk>/edit/", patients.patient_edit_page, name="patient-edit"),
    path("patients/<uuid:pk>/merge/", patients.patient_merge_action, name="patient-merge"),
    path("patients/<uuid:pk>/unmerge/", patients.patient_unmerge_action, name="patient-unmerge"),
    path("studies/new/", studies.study_create_page, name="study-create"),
    path("studies/<uuid:pk>/", studies.study_page, name="study-detail"),
    path("studies/<uuid:pk>/edit/", studies.study_edit_page, name="study-edit"),
    path("studies/<uuid:pk>/status/", studies.study_status, name="study-status"),
    path("studies/<uuid:pk>/views/", viewer.study_views, name="study-views"),
    path("studies/<uuid:pk>/annotations/", annotations.study_annotations, name="study-annotations"),
    path("studies/<uuid:pk>/upload/", studies.study_upload, name="study-upload"),
    path("studies/<uuid:pk>/analyses/", studies.study_reanalyse, name="study-reanalyse"),
    path("studies/<uuid:pk>/move/", studies.study_move_action, name="study-move"),
    path("studies/<uuid:pk>/report/", reports.report_create_action, name="report-create"),
    path(
        "images/<uuid:pk>/annotations/<uuid:annotation>/",
        annotations.image_annotation,
        name="image-annotation",
    ),
    path("images/<uuid:pk>/key-images/", annotations.image_key_images, name="image-key-images"),
    path("key-images/<uuid:pk>/", annotations.key_image_file, name="key-image"),
    path("images/<uuid:pk>/move/", images.image_move_action, name="image-move"),
    path("images/<uuid:pk>/rendition/", images.image_rendition, name="image-rendition"),
    path("images/<uuid:pk>/thumbnail/", images.image_thumbnail, name="image-thumbnail"),
    path("images/<uuid:pk>/heatmap/", images.image_heatmap, name="image-heatmap"),
    path("images/<uuid:pk>/file/", images.image_file, name="image-file"),
    path("reports/<uuid:pk>/", reports.report_page, name="report-detail"),
    path("reports/<uuid:pk>/autosave/", reports.report_autosave, name="report-autosave"),
    path("reports/<uuid:pk>/sign/", reports.report_sign_action, name="report-sign"),
    path("reports/<uuid:pk>/amend/", reports.report_amend_action, name="report-amend"),
    path("reports/<uuid:pk>/pdf/", reports.report_pdf_file, name="report-pdf"),
    path("reports/<uuid:pk>/preview/", reports.report_preview_file, name="report-preview"),
    path("verify/<str:sha256>/", reports.report_verify_page, name="report-verify"),
]
