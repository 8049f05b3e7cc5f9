"""Pages: who gets in, what a foreign clinic sees, and what stays constant in queries."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis.models import (
    Patient,
    ReportVersion,
    Study,
    StudyImage,
)
from diagnosis.services.study_results import study_refresh
from diagnosis.storage import object_put
from tests.factories import (
    PASSWORD,
    AnalysisFactory,
    FindingFactory,
    MembershipFactory,
    PatientFactory,
    ReportFactory,
    ReportVersionFactory,
    StudyFactory,
    StudyImageFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def png(shade: int = 90) -> bytes:
    stream = io.BytesIO()
    picture = Image.radial_gradient("L").resize((220, 260)).point(lambda v: (v + shade) % 256)
    picture.save(stream, "PNG")
    return stream.getvalue()


def full_study(clinic, **patient) -> StudyImage:
    """A ready study with one analysed image and stored objects."""
    key = object_put(data=png(), kind="renditions", content_type="image/jpeg")
    study = StudyFactory(patient=PatientFactory(clinic=clinic, **patient))
    image = StudyImageFactory(study=study, rendition_keys=[key], thumbnail_key=key, served_key=key)
    FindingFactory(analysis=AnalysisFactory(succeeded=True, image=image, heatmap_key=key))
    with clinic_scope(clinic.pk):
        study_refresh(study_id=study.pk)
    return image


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


@pytest.fixture
def signed_in(client, doctor):
    client.force_login(doctor.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def routes(image: StudyImage, report) -> list[tuple[str, str]]:
    """Every page route that names an object, with real ids."""
    study, patient = image.study_id, image.study.patient_id
    gets = [
        reverse("diagnosis:patient-detail", args=[patient]),
        reverse("diagnosis:patient-edit", args=[patient]),
        reverse("diagnosis:study-create") + f"?patient={patient}",
        reverse("diagnosis:study-detail", args=[study]),
        reverse("diagnosis:study-edit", args=[study]),
        reverse("diagnosis:study-status", args=[study]),
        reverse("diagnosis:study-claim", args=[study]),
        reverse("diagnosis:study-shares", args=[study]),
        reverse("diagnosis:similar-cases", args=[study]),
        reverse("diagnosis:patient-compare", args=[patient]),
        *(
            reverse(f"diagnosis:image-{what}", args=[image.pk])
            for what in ("rendition", "thumbnail", "heatmap", "file")
        ),
        reverse("diagnosis:report-detail", args=[report.pk]),
        reverse("diagnosis:report-pdf", args=[report.pk]),
        reverse("diagnosis:report-preview", args=[report.pk]),
    ]
    posts = [
        reverse("diagnosis:patient-merge", args=[patient]),
        reverse("diagnosis:patient-unmerge", args=[patient]),
        reverse("diagnosis:study-upload", args=[study]),
        reverse("diagnosis:study-claim", args=[study]),
        reverse("diagnosis:study-shares", args=[study]),
        reverse("diagnosis:study-reanalyse", args=[study]),
        reverse("diagnosis:study-move", args=[study]),
        reverse("diagnosis:report-create", args=[study]),
        reverse("diagnosis:image-move", args=[image.pk]),
        *(
            reverse(f"diagnosis:report-{what}", args=[report.pk])
            for what in ("autosave", "sign", "amend")
        ),
    ]
    return [("get", url) for url in gets] + [("post", url) for url in posts]


def test_a_doctor_of_another_clinic_gets_404_for_every_object(signed_in):
    other = MembershipFactory(doctor=True)
    image = full_study(other.clinic, family_name="Canary")
    report = ReportFactory(study=image.study)
    ReportVersionFactory(report=report)
    for method, url in routes(image, report):
        response = getattr(signed_in, method)(url)
        assert response.status_code == 404, (method, url)
        assert b"Canary" not in response.content
    with clinic_scope(other.clinic_id):
        assert Study.objects.get().status == Study.Status.READY


def test_nobody_gets_in_without_signing_in(client, doctor):
    image = full_study(doctor.clinic)
    report = ReportFactory(study=image.study)
    for method, url in routes(image, report):
        response = getattr(client, method)(url)
        assert response.status_code == 302, (method, url)
        assert response["Location"].startswith(reverse("account_login"))


def test_a_person_without_a_clinic_is_told_what_to_do(client):
    client.force_login(
        UserFactory(is_staff=True, is_superuser=True),
        backend="allauth.account.auth_backends.AuthenticationBackend",
    )
    assert client.get(reverse("diagnosis:worklist"))["Location"] == reverse("admin:index")
    response = client.get(reverse("diagnosis:patient-list"))
    assert response.status_code == 403
    assert b"not a member" in response.content


def test_the_worklist_shows_own_studies_and_nothing_foreign(signed_in, doctor):
    full_study(doctor.clinic, family_name="Ownpatient")
    full_study(MembershipFactory().clinic, family_name="Canary")
    page = signed_in.get(reverse("diagnosis:worklist")).content
    assert b"Ownpatient" in page
    assert b"Canary" not in page


def test_queries_of_worklist_and_study_do_not_grow_with_rows(
    signed_in, doctor, django_assert_max_num_queries
):
    image = full_study(doctor.clinic)
    signed_in.get(reverse("diagnosis:worklist"))  # the session notes its first use
    counts = []
    for _round in range(2):
        with django_assert_max_num_queries(62) as captured:
            signed_in.get(reverse("diagnosis:worklist"))
            signed_in.get(reverse("diagnosis:study-detail", args=[image.study_id]))
        counts.append(len(captured))
        for _more in range(4):
            full_study(doctor.clinic)
            FindingFactory(
                analysis=AnalysisFactory(succeeded=True, image=StudyImageFactory(study=image.study))
            )
    assert counts[0] == counts[1]


def test_hostile_filters_are_ignored_or_explained(signed_in, doctor):
    full_study(doctor.clinic)
    for query in (
        "tab=%00",
        "date_from=yesterday",
        "priority=x",
        "page=-1",
        "q=%27%3A%26%7C!",
        "date_to=9999-12-31",
        "region=x",
    ):
        assert signed_in.get(reverse("diagnosis:worklist") + f"?{query}").status_code == 200


def test_a_patient_is_registered_and_a_taken_number_is_explained(signed_in, doctor):
    body = {"record_number": "A-1", "family_name": "Örsted", "sex": "female"}
    assert signed_in.post(reverse("diagnosis:patient-create"), body).status_code == 302
    again = signed_in.post(reverse("diagnosis:patient-create"), body)
    assert again.status_code == 422
    assert b"errorlist" in again.content
    found = signed_in.post(reverse("diagnosis:patient-list"), {"q": "orst"}, HTTP_HX_REQUEST="true")
    assert "Örsted" in found.content.decode()
    assert b"<html" not in found.content
    with clinic_scope(doctor.clinic_id):
        assert Patient.objects.count() == 1


def test_an_upload_says_what_became_of_each_file(signed_in, doctor):
    study = StudyFactory(patient=PatientFactory(clinic=doctor.clinic))
    other = StudyFactory(patient=PatientFactory(clinic=doctor.clinic))
    url = reverse("diagnosis:study-upload", args=[study.pk])

    def send(data: bytes, to: str = url):
        return signed_in.post(to, {"file": SimpleUploadedFile("name-of-patient.png", data)})

    accepted, existing = send(png()), send(png())
    assert (accepted.status_code, accepted.json()["outcome"]) == (201, "accepted")
    assert (existing.status_code, existing.json()["outcome"]) == (200, "existing")
    elsewhere = send(png(), reverse("diagnosis:study-upload", args=[other.pk]))
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "image_in_other_study")
    assert str(study.pk) in elsewhere.json()["url"]
    refused = send(b"%PDF-1.7 not an image")
    assert refused.json()["outcome"] == "refused"
    assert refused.json()["code"] == "pdf"
    assert len(refused.json()["message"]) > 20
    nothing = signed_in.post(url)
    assert (nothing.status_code, nothing.json()["code"]) == (400, "no_file")
    with clinic_scope(doctor.clinic_id):
        assert StudyImage.objects.count() == 1


def test_the_report_is_written_saved_signed_and_amended_from_the_pages(signed_in, doctor):
    image = full_study(doctor.clinic)
    signed_in.post(reverse("diagnosis:report-create", args=[image.study_id]))
    with clinic_scope(doctor.clinic_id):
        version = ReportVersion.objects.get()
    page = signed_in.get(reverse("diagnosis:study-detail", args=[image.study_id]))
    sections = {
        "findings": "Fracture of the distal radius.",
        "impression": "Fracture.",
        "basis": page.context["report_form"].initial["basis"],
    }
    save = reverse("diagnosis:report-autosave", args=[version.report_id])
    assert b'value="2"' in signed_in.post(save, {"revision": 1, **sections}).content
    assert b"Both texts are kept" in signed_in.post(save, {**sections, "revision": 1}).content

    sign = reverse("diagnosis:report-sign", args=[version.report_id])
    signed_in.post(sign, {"revision": 2, **sections, "password": "wrong"})
    with clinic_scope(doctor.clinic_id):
        version.refresh_from_db()
        assert version.status == ReportVersion.Status.DRAFT
    signed_in.post(sign, {"revision": 2, **sections, "password": PASSWORD})
    pdf = signed_in.get(reverse("diagnosis:report-pdf", args=[version.report_id]))
    assert pdf.content.startswith(b"%PDF-")
    assert pdf["Cache-Control"] == "private, no-store"

    amend = reverse("diagnosis:report-amend", args=[version.report_id])
    signed_in.post(amend, {"reason": "Wrong side"})
    with clinic_scope(doctor.clinic_id):
        assert list(ReportVersion.objects.values_list("number", "status")) == [
            (1, "signed"),
            (2, "draft"),
        ]
        digest = ReportVersion.objects.get(number=1).content_sha256
    signed_in.logout()
    known = signed_in.get(reverse("diagnosis:report-verify", args=[digest]))
    assert known.status_code == 200
    assert signed_in.get(reverse("diagnosis:report-verify", args=["0" * 64])).status_code == 404


def test_a_technician_may_not_sign_and_the_denial_is_kept(client):
    technician = MembershipFactory(roles=[Role.TECHNICIAN])
    client.force_login(
        technician.user, backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    image = full_study(technician.clinic)
    response = client.post(reverse("diagnosis:report-create", args=[image.study_id]))
    assert response.status_code == 403
    with clinic_scope(technician.clinic_id):
        denied = AuditEvent.objects.get(outcome="denied")
    assert (denied.action, denied.actor) == ("report.write", technician.user)


def test_opening_a_study_and_its_file_is_audited(signed_in, doctor):
    image = full_study(doctor.clinic)
    signed_in.get(reverse("diagnosis:study-detail", args=[image.study_id]))
    signed_in.get(reverse("diagnosis:study-status", args=[image.study_id]))
    download = signed_in.get(reverse("diagnosis:image-file", args=[image.pk]))
    assert b"".join(download.streaming_content)
    with clinic_scope(doctor.clinic_id):
        actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["study.open", "image.open"]


def test_pages_hold_no_inline_script_or_style(signed_in, doctor):
    image = full_study(doctor.clinic)
    for url in (
        reverse("diagnosis:worklist"),
        reverse("diagnosis:patient-list"),
        reverse("diagnosis:study-detail", args=[image.study_id]),
    ):
        response = signed_in.get(url)
        assert "script-src" in response["Content-Security-Policy"]
        page = response.content.decode()
        assert " style=" not in page
        assert " onclick=" not in page


def test_an_upload_to_a_study_that_moved_to_another_patient_is_refused(signed_in, doctor):
    image = full_study(doctor.clinic)
    url = reverse("diagnosis:study-upload", args=[image.study_id])
    stale = signed_in.post(
        f"{url}?patient={PatientFactory(clinic=doctor.clinic).pk}",
        {"file": SimpleUploadedFile("a.png", png())},
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "study_moved")


def test_merging_asks_with_names_before_it_acts(signed_in, doctor):
    source = PatientFactory(clinic=doctor.clinic, family_name="Source")
    target = PatientFactory(clinic=doctor.clinic, family_name="Target")
    url = reverse("diagnosis:patient-merge", args=[source.pk])
    body = {"record_number": target.record_number}
    asked = signed_in.post(url, body).content.decode()
    assert "Source" in asked
    assert "Target" in asked
    with clinic_scope(doctor.clinic_id):
        assert Patient.objects.filter(merged_into__isnull=False).count() == 0
    signed_in.post(url, body | {"confirmed": "1"})
    with clinic_scope(doctor.clinic_id):
        assert Patient.objects.get(merged_into=target).pk == source.pk


def test_studies_that_wait_or_fail_are_on_the_doctors_list(signed_in, doctor):
    waiting = AnalysisFactory(
        image__study__patient=PatientFactory(clinic=doctor.clinic, family_name="Waiting")
    )
    with clinic_scope(doctor.clinic_id):
        study_refresh(study_id=waiting.image.study_id)
    assert b"Waiting, " in signed_in.get(reverse("diagnosis:worklist")).content
