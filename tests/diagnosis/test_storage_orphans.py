import os
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.models import ReportVersion
from diagnosis.storage import object_list, object_put
from tests.factories import AnalysisFactory, ReportVersionFactory, StudyImageFactory

pytestmark = pytest.mark.django_db
KINDS = ("originals", "served", "renditions", "thumbnails", "heatmaps", "reports", "models")


@pytest.fixture(autouse=True)
def media(tmp_path, settings):
    backend = "fracture_site.common.storage.PrivateFileStorage"
    clinical = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = settings.STORAGES | {"clinical": clinical}
    return tmp_path


@pytest.fixture
def put(media):
    def put(kind, *, age=timedelta(days=2)):
        key = object_put(data=b"x", kind=kind, content_type="image/jpeg")
        moment = (timezone.now() - age).timestamp()
        os.utime(media / key, (moment, moment))
        return key

    return put


def stored():
    return {key for kind in KINDS for key, _written in object_list(kind)}


def collect(*arguments):
    output = StringIO()
    call_command("collect_orphans", "--no-progress", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def named(put):
    """Objects of two clinics that rows name, one of each kind of column."""
    image = StudyImageFactory(
        original_key=put("originals"),
        served_key=put("served"),
        rendition_keys=[put("renditions"), put("renditions")],
        thumbnail_key=put("thumbnails"),
    )
    analysis = AnalysisFactory(succeeded=True, heatmap_key=put("heatmaps"))
    version = ReportVersionFactory()
    with clinic_scope(version.clinic_id):
        ReportVersion.objects.filter(pk=version.pk).update(
            status="signed",
            signed_by=version.author,
            signed_at=timezone.now(),
            pdf_key=put("reports"),
            content_sha256="x",
        )
    assert len({image.clinic_id, analysis.clinic_id, version.clinic_id}) == 3
    return stored()


def test_only_old_objects_without_a_row_are_deleted(named, put):
    young = put("originals", age=timedelta(hours=2))
    for kind in ("originals", "served", "renditions", "thumbnails", "heatmaps", "reports"):
        put(kind)
    assert "6 objects without a row deleted" in collect()
    assert stored() == named | {young}
    assert AuditEvent.objects.get(action="storage.collect").details == {"count": 6}


def test_a_dry_run_deletes_nothing(named, put):
    orphan = put("served")
    assert "1 objects without a row would be deleted" in collect("--dry-run")
    assert stored() == named | {orphan}
    assert not AuditEvent.objects.exists()


def test_kinds_that_no_clinics_row_names_are_left_alone(put):
    artifact = put("models")
    collect()
    assert stored() == {artifact}


def test_the_age_can_be_lowered_to_an_hour_but_no_further(put):
    put("served", age=timedelta(hours=2))
    fresh = put("served", age=timedelta(minutes=30))
    collect("--older-than-hours", "0")
    assert stored() == {fresh}
