"""The study's row follows its images, analyses and report; simultaneous changes lose nothing."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, ReportVersion, Study
from diagnosis.services.study_results import study_refresh
from tests.factories import (
    AnalysisFactory,
    ClinicFactory,
    FindingFactory,
    ReportFactory,
    ReportVersionFactory,
    StudyFactory,
    StudyImageFactory,
)

pytestmark = pytest.mark.django_db


def refreshed(study: Study) -> Study:
    with clinic_scope(study.clinic_id):
        return study_refresh(study_id=study.pk)


def test_a_study_without_images_is_empty():
    study = refreshed(StudyFactory())

    assert (study.status, study.result, study.verdict) == ("empty", None, "")


def test_the_result_is_what_the_api_promises():
    finding = FindingFactory(
        fracture_type="transverse", displacement="displaced", severity="moderate"
    )
    analysis = finding.analysis
    study = refreshed(analysis.image.study)

    result = study.result
    assert {
        "verdict", "probability", "region", "severity", "thresholds", "model", "images",
        "timings_ms",
    } <= set(result)  # fmt: skip
    assert result["model"] == {
        "name": analysis.model_version.name,
        "version": analysis.model_version.version,
        "sha256": analysis.model_version.sha256,
    }
    assert result["thresholds"] == {"suspicion": 0.2, "definite": 0.7}
    (image,) = result["images"]
    assert image["id"] == str(analysis.image_id)
    assert image["findings"] == [
        {
            "id": str(finding.pk),
            "box": [10.0, 20.0, 30.0, 40.0],
            "probability": 0.9,
            "certainty": "definite",
            "type": "transverse",
            "displacement": "displaced",
            "severity": "moderate",
        }
    ]
    assert (study.verdict, study.probability, study.region) == ("definite", 0.9, "hand_arm")
    assert study.result_version


def test_an_image_speaks_by_its_newest_result():
    image = StudyImageFactory()
    AnalysisFactory(image=image, succeeded=True)
    AnalysisFactory(image=image, succeeded=True, verdict="negative", probability=0.05)
    AnalysisFactory(image=image, failed=True)

    study = refreshed(image.study)

    assert (study.verdict, study.status) == ("negative", "ready")
    assert study.result["images"][0]["error_code"] == "internal"


def test_refreshing_twice_writes_once(django_assert_num_queries):
    study = AnalysisFactory(succeeded=True).image.study
    refreshed(study)
    with clinic_scope(study.clinic_id):
        before = Study.objects.get(pk=study.pk).updated_at
        study_refresh(study_id=study.pk)
        assert Study.objects.get(pk=study.pk).updated_at == before


def test_a_foreign_clinics_study_does_not_exist():
    study = StudyFactory()
    with clinic_scope(ClinicFactory().pk), pytest.raises(Study.DoesNotExist):
        study_refresh(study_id=study.pk)


def sign(study: Study, *, result) -> None:
    version = ReportVersionFactory(report=ReportFactory(study=study))
    with clinic_scope(study.clinic_id):
        ReportVersion.objects.filter(pk=version.pk).update(
            status="signed",
            signed_by=version.author,
            signed_at=timezone.now(),
            pdf_key="reports/x.pdf",
            content_sha256="0" * 64,
            pdf_sha256="0" * 64,
            result=result,
        )


def test_a_draft_changes_nothing_a_signature_does():
    study = AnalysisFactory(succeeded=True).image.study
    ReportVersionFactory(report=ReportFactory(study=study))
    assert refreshed(study).status == "ready"

    other = AnalysisFactory(succeeded=True).image.study
    sign(other, result=refreshed(other).result)
    assert refreshed(other).status == "reported"


def test_an_image_after_the_signature_marks_the_study():
    study = AnalysisFactory(succeeded=True).image.study
    sign(study, result=refreshed(study).result)
    AnalysisFactory(image=StudyImageFactory(study=study))

    study = refreshed(study)

    assert (study.status, study.new_image_after_report) == ("reported", True)


@pytest.mark.django_db(transaction=True)
def test_simultaneous_changes_of_one_study_neither_wait_for_ever_nor_get_lost():
    study = StudyFactory()
    count = 6
    barrier = Barrier(count)

    def upload(_number: int) -> None:
        barrier.wait()
        try:
            with clinic_scope(study.clinic_id):
                image = StudyImageFactory(study=study)  # the foreign key locks the study too
                AnalysisFactory(image=image, succeeded=True)
                study_refresh(study_id=study.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(upload, range(count)))

    with clinic_scope(study.clinic_id):
        row = Study.objects.get(pk=study.pk)
        assert Analysis.objects.count() == count
    assert len(row.result["images"]) == count
    assert row.result["incomplete"] is False
