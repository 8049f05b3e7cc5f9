"""The second wall for references: no row of one clinic points to a row of another."""

from uuid import uuid4

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import ForeignKey

from accounts.tenancy import clinic_scope
from diagnosis.models import (
    AlertRecipient,
    ClinicOwnedModel,
    Erasure,
    FindingReview,
    FirstRead,
    MindChange,
    PreliminaryRead,
    RecallContact,
    ReportVersion,
    ReportWithdrawal,
    RetentionHold,
    Study,
)
from tests.factories import (
    AlertRecipientFactory,
    AnnotationFactory,
    DeliveryFactory,
    ErasureFactory,
    FindingFactory,
    FindingReviewFactory,
    Hl7MessageFactory,
    OrderFactory,
    PatientExportFactory,
    PatientFactory,
    PriorFetchFactory,
    ReportVersionFactory,
    ResumableUploadFactory,
    RetentionHoldFactory,
    ShadowRunFactory,
    ShareCommentFactory,
    StudyClaimFactory,
    StudyFactory,
    StudyImageFactory,
    StudyKeyImageFactory,
    reading_rows,
)

pytestmark = pytest.mark.django_db
EDGES = [
    (model, field)
    for model in apps.get_app_config("diagnosis").get_models()
    for field in model._meta.concrete_fields
    if isinstance(field, ForeignKey) and issubclass(field.related_model, ClinicOwnedModel)
]


def clinic_with_a_row_in_every_table(*, leaves=True):
    """``leaves``: also the rows that can never be removed again and that nothing points to."""
    study = StudyFactory(patient=PatientFactory())
    finding = FindingFactory(analysis__image=StudyImageFactory(study=study))
    FindingReviewFactory(finding=finding)
    reading_rows(ReportVersionFactory(report__study=study), leaves=leaves)
    OrderFactory(study=study)
    Hl7MessageFactory(sender__clinic=study.clinic)
    delivery = DeliveryFactory(study=study)
    PriorFetchFactory(study=study, source=delivery.destination)
    AnnotationFactory(image=finding.analysis.image)
    StudyKeyImageFactory(image=finding.analysis.image)
    StudyClaimFactory(study=study)
    for factory in (ErasureFactory, RetentionHoldFactory, PatientExportFactory):
        factory(patient=study.patient)
    ShadowRunFactory(analysis=finding.analysis)
    AlertRecipientFactory(alert__study=study)
    ShareCommentFactory(share__study=study)
    ResumableUploadFactory(study=study, image=finding.analysis.image)
    return study.clinic_id


# Rows that are never changed, and what a second one must have of its own.
APPEND_ONLY = {
    FindingReview: {"number": 2},
    ReportWithdrawal: {},
    FirstRead: {},
    MindChange: {"version_number": 2},
    PreliminaryRead: {},
    RecallContact: {},
}


def another(model):
    """Return the values of a further row like the one that is there."""
    return model._base_manager.values().get() | APPEND_ONLY[model] | {"id": uuid4()}


def names(edge):
    return f"{edge[0].__name__}.{edge[1].name}"


def test_all_edges_are_known():
    assert {names(edge) for edge in EDGES} == {
        "Patient.merged_into", "Study.patient", "Study.merged_from", "Study.fetched_from",
        "StudyImage.study", "PriorFetch.study", "PriorFetch.prior", "PriorFetch.source",
        "Analysis.image", "Finding.analysis", "ShadowRun.image", "ShadowRun.analysis",
        "FindingReview.image", "FindingReview.finding",
        "Report.study", "ReportVersion.report",
        "Order.study", "Hl7Message.sender",
        "Delivery.destination", "Delivery.study",
        "Annotation.image", "StudyKeyImage.image",
        "ResumableUpload.study", "ResumableUpload.image",
        "StudyClaim.study", "Alert.study", "AlertRecipient.alert", "StudyShare.study",
        "ShareComment.share",
        "DraftCopy.version", "SecondReading.version", "ReportWithdrawal.version",
        "FirstRead.study", "MindChange.first", "PreliminaryRead.study",
        "RetentionHold.patient", "Erasure.patient", "PatientExport.patient",
        "Discrepancy.study", "RecallTask.discrepancy", "RecallContact.task",
    }  # fmt: skip


@pytest.mark.parametrize("edge", EDGES, ids=names)
def test_a_row_cannot_point_to_another_clinic_not_even_for_the_application_role(edge):
    model, field = edge
    own = clinic_with_a_row_in_every_table()
    foreign = clinic_with_a_row_in_every_table(leaves=False)
    with clinic_scope(foreign):
        # Rules about numbers of rows would refuse first.
        if field.related_model is not ReportVersion:
            ReportVersion.objects.all().delete()
        for one_each in (AlertRecipient, Erasure, RetentionHold):
            one_each._base_manager.all().delete()
        if field.unique:
            model._base_manager.all().delete()
        target = field.related_model._base_manager.get().pk

    with clinic_scope(own):
        rows = model._base_manager.all()
        write, values = rows.update, {field.attname: target}
        if model in APPEND_ONLY:
            write, values = rows.create, {**another(model), **values}
        with pytest.raises(IntegrityError, match="in_clinic"), transaction.atomic():
            write(**values)
        assert rows.values_list(field.attname, flat=True).get() != target


def test_a_new_row_cannot_point_to_another_clinic_either():
    own, foreign = clinic_with_a_row_in_every_table(), clinic_with_a_row_in_every_table()
    with clinic_scope(foreign):
        patient_id = Study.objects.get().patient_id

    with clinic_scope(own):
        with pytest.raises(IntegrityError, match="in_clinic"), transaction.atomic():
            Study.objects.create(clinic_id=own, patient_id=patient_id)
        assert Study.objects.count() == 1


def test_rows_of_one_clinic_may_point_to_each_other():
    own = PatientFactory()
    other = PatientFactory(clinic=own.clinic)
    study = StudyFactory(patient=own)

    with clinic_scope(own.clinic_id):
        Study.objects.filter(pk=study.pk).update(patient=other, merged_from=own)
        own.merged_into = other
        own.save(update_fields=["merged_into"])


@pytest.mark.parametrize("edge", EDGES, ids=names)
def test_the_database_checks_rows_that_were_there_before_too(edge):
    model, field = edge
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT convalidated, condeferrable FROM pg_constraint WHERE conname = %s",
            [f"{model._meta.db_table}_{field.attname}_in_clinic"],
        )
        assert cursor.fetchall() == [(True, False)]
