"""Studies with real stored images, a made-up AI result, and a doctor who signs."""

from types import SimpleNamespace

import numpy as np

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Study
from diagnosis.selectors.findings import reviewed_findings_for
from diagnosis.services.finding_reviews import finding_accept, finding_add
from diagnosis.services.reports import report_create, report_sign
from diagnosis.services.study_results import study_refresh
from diagnosis.services.uploads import image_upload
from ml.data.synthetic import synthetic_radiograph, to_dicom
from tests.factories import (
    AnalysisFactory,
    FindingFactory,
    MembershipFactory,
    PatientFactory,
    StudyFactory,
)


def pixels(seed: int = 1, size: tuple[int, int] = (200, 160)) -> np.ndarray:
    return synthetic_radiograph(seed, region="leg", size=size).pixels


def dicom(seed: int = 1, **attributes: object) -> bytes:
    return to_dicom(pixels(seed), attributes=attributes)


def study_with(*files: bytes, member=None, analysed: bool = True, **values) -> SimpleNamespace:
    """Store the files in a new study; each gets a result with one definite finding."""
    member = member or MembershipFactory(roles=[Role.TECHNICIAN, Role.DOCTOR])
    patient = PatientFactory(clinic=member.clinic)
    study = StudyFactory(patient=patient, **values)
    with clinic_scope(member.clinic_id):
        images = [image_upload(actor=member.user, study=study, data=f).image for f in files]
        for image in images if analysed else []:
            image.analyses.all().delete()
            analysis = AnalysisFactory(image=image, succeeded=True)
            FindingFactory(analysis=analysis)
        study_refresh(study_id=study.pk)
    return SimpleNamespace(member=member, patient=patient, study=study, images=images)


def sign(made: SimpleNamespace, *, accept: bool = True, add: bool = False):
    """Sign the study's report, after agreeing with the findings and adding one."""
    with clinic_scope(made.member.clinic_id):
        study = Study.objects.get(pk=made.study.pk)
        if accept:
            for found in reviewed_findings_for(user=made.member.user, study=study):
                finding_accept(actor=made.member.user, found=found, revision=found.revision)
        if add:
            finding_add(actor=made.member.user, image=made.images[0], box=(60, 70, 40, 30))
        report = report_create(actor=made.member.user, study=study)
        return report_sign(actor=made.member.user, report=report)
