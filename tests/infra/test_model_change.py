"""Another model in a running site: a real worker reads the next image with it, without restart."""

import time

import pytest

from accounts.tenancy import clinic_scope
from diagnosis.inference import read_package
from diagnosis.models import Analysis, ShadowRun
from diagnosis.services.model_stages import model_activate, model_rollback, model_shadow
from diagnosis.services.model_versions import model_register
from diagnosis.services.studies import study_create
from diagnosis.services.uploads import image_upload
from ml.data.synthetic import synthetic_radiograph, to_png
from tests.factories import MembershipFactory, PatientFactory
from tests.support.models import model_folder
from tests.support.worker import wait_for


@pytest.mark.timeout(300)
def test_a_running_worker_takes_the_next_image_with_the_new_model(real_worker, tmp_path):
    pid, doctor = real_worker.pid, MembershipFactory(doctor=True)
    seeds = iter(range(100))

    def upload() -> Analysis:
        seed = next(seeds)
        with clinic_scope(doctor.clinic_id):
            patient = PatientFactory(clinic=doctor.clinic)
            study = study_create(actor=doctor.user, clinic_id=doctor.clinic_id, patient=patient)
            data = to_png(synthetic_radiograph(seed).pixels)
            image = image_upload(actor=doctor.user, study=study, data=data).image
        return wait_for(lambda: done(image), timeout_s=60)

    def done(image) -> Analysis | None:
        with clinic_scope(doctor.clinic_id):
            rows = Analysis.objects.select_related("model_version")
            return rows.filter(image=image, status="succeeded").first()

    def shadow_of(analysis) -> ShadowRun | None:
        with clinic_scope(doctor.clinic_id):
            return ShadowRun.objects.filter(analysis=analysis, status="succeeded").first()

    old = upload().model_version
    folder = model_folder(tmp_path / "new", version="999")
    new = model_register(package=read_package(folder))
    model_shadow(actor=None, version=new, on=True, reason="compare")
    beside = upload()
    assert beside.model_version == old
    assert wait_for(lambda: shadow_of(beside), timeout_s=60).model_version == new

    model_activate(actor=None, version=new, reason="better")
    began = time.monotonic()
    first = upload()
    assert first.model_version == new
    assert time.monotonic() - began < 60
    model_rollback(actor=None, reason="worse")
    assert upload().model_version == old

    assert real_worker.pid == pid
    with clinic_scope(doctor.clinic_id):
        assert Analysis.objects.get(pk=first.pk).model_version_id == new.pk
