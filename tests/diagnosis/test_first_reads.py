"""Reading before the AI: hidden everywhere until the reader's own answer, which stays."""

import json

import pytest
from django.db import DatabaseError, transaction
from django.urls import reverse

from accounts.models import Clinic
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Finding, FirstRead, MindChange, Study
from diagnosis.selectors import study_get, study_images
from diagnosis.selectors.fhir import fhir_analyses, fhir_findings
from diagnosis.selectors.findings import reviewed_finding_get
from diagnosis.selectors.first_reads import ai_is_hidden
from diagnosis.services.finding_reviews import finding_accept, finding_reject
from diagnosis.services.first_reads import first_read_give
from diagnosis.services.reports import report_create, report_preview, report_sign
from fracture_site.common.errors import ConflictError, RefusedInputError
from tests.diagnosis.api.conftest import client_of
from tests.diagnosis.web.test_pages import full_study
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def learner():
    return MembershipFactory(doctor=True, in_training=True)


@pytest.fixture
def image(learner):
    return full_study(learner.clinic)


@pytest.fixture
def study(learner, image):
    with clinic_scope(learner.clinic_id):
        yield Study.objects.get()


@pytest.fixture
def signed_in(client, learner):
    client.force_login(learner.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.mark.parametrize(
    ("in_training", "own", "of_clinic", "hidden"),
    [
        (False, None, False, False), (True, None, False, True), (False, None, True, True),
        (True, False, True, False), (False, True, False, True),
    ],
)  # fmt: skip
def test_clinic_training_and_person_decide_together(in_training, own, of_clinic, hidden):
    member = MembershipFactory(doctor=True, in_training=in_training, read_first=own)
    Clinic.objects.filter(pk=member.clinic_id).update(read_first=of_clinic)
    full_study(member.clinic)
    with clinic_scope(member.clinic_id):
        assert ai_is_hidden(user=member.user, study=Study.objects.get()) == hidden


def test_who_does_not_read_is_not_asked(learner, study):
    Clinic.objects.filter(pk=learner.clinic_id).update(read_first=True)
    technician = MembershipFactory(technician=True, clinic=learner.clinic)
    assert not ai_is_hidden(user=technician.user, study=study)
    with pytest.raises(ActionDeniedError):
        first_read_give(actor=technician.user, study=study, answer="yes")


def test_the_answer_is_given_once_and_shows_the_result(learner, study):
    hidden = study_get(user=learner.user, pk=study.pk)
    assert (hidden.verdict, hidden.probability, hidden.result) == ("", None, None)
    assert study_images(user=learner.user, study=study).get().newest_result is None
    for answer in ("", "maybe"):
        with pytest.raises(RefusedInputError):
            first_read_give(actor=learner.user, study=study, answer=answer)
    read = first_read_give(actor=learner.user, study=study, answer="no")
    with pytest.raises(ConflictError) as twice:
        first_read_give(actor=learner.user, study=study, answer="yes")
    assert twice.value.code == "first_read_given"
    shown = study_get(user=learner.user, pk=study.pk)
    assert (shown.verdict, shown.probability) == ("definite", 0.9)
    with pytest.raises(DatabaseError), transaction.atomic():
        FirstRead.objects.filter(pk=read.pk).update(answer="yes")


@pytest.mark.parametrize(
    "places",
    [
        [None], ["x"], [{"x": 1}], [{"image": "x", "x": 1, "y": 1, "width": 1, "height": 1}],
        "nothing",
    ],
)  # fmt: skip
def test_marks_that_are_no_places_are_refused(learner, study, places):
    with pytest.raises(RefusedInputError) as refused:
        first_read_give(actor=learner.user, study=study, answer="yes", places=places)
    assert refused.value.code == "places_unusable"


def test_marks_are_kept_with_the_answer(learner, study, image):
    box = {"image": str(image.pk), "x": 1, "y": 2, "width": 30, "height": 40}
    read = first_read_give(actor=learner.user, study=study, answer="yes", places=[box])
    assert read.places == [box]
    assert MembershipFactory().clinic_id != learner.clinic_id


def test_nothing_that_tells_can_be_done_before_the_answer(learner, study):
    colleague = MembershipFactory(doctor=True, clinic=learner.clinic)
    report = report_create(actor=colleague.user, study=study)
    found = reviewed_finding_get(user=learner.user, pk=Finding.objects.get().pk)
    for refused in (
        lambda: report_create(actor=learner.user, study=study),
        lambda: report_preview(actor=learner.user, report=report),
        lambda: report_sign(actor=learner.user, report=report),
        lambda: finding_accept(actor=learner.user, found=found, revision=0),
    ):
        with pytest.raises(ConflictError) as missing:
            refused()
        assert missing.value.code == "first_read_missing"


def test_a_signed_report_needs_no_answer_any_more(learner, study):
    colleague = MembershipFactory(doctor=True, clinic=learner.clinic)
    report_sign(actor=colleague.user, report=report_create(actor=colleague.user, study=study))
    assert study_get(user=learner.user, pk=study.pk).verdict == "definite"


@pytest.mark.parametrize(
    ("answer", "decision", "final", "changed"),
    [
        ("no", finding_accept, "yes", True), ("yes", finding_accept, "yes", False),
        ("yes", finding_reject, "no", True), ("unsure", None, "unsure", False),
    ],
)  # fmt: skip
def test_the_final_answer_stands_beside_the_first(learner, study, answer, decision, final, changed):
    first_read_give(actor=learner.user, study=study, answer=answer)
    if decision:
        found = reviewed_finding_get(user=learner.user, pk=Finding.objects.get().pk)
        more = {"reason": "artefact"} if decision is finding_reject else {}
        decision(actor=learner.user, found=found, revision=0, **more)
    report = report_create(actor=learner.user, study=study)
    draft = report.versions.get()
    draft.findings = "Read."
    draft.save()
    report_sign(actor=learner.user, report=report)
    change = MindChange.objects.get()
    assert (change.first.answer, change.final, change.changed) == (answer, final, changed)


TELLS = ("Fracture</span>", "0.90", "probability-wide", "verdict-definite", "heatmap/?run")


def test_no_page_tells_before_the_answer(signed_in, learner, study, image):
    pages = {
        "study": reverse("diagnosis:study-detail", args=[study.pk]),
        "views": reverse("diagnosis:study-views", args=[study.pk]),
        "findings": reverse("diagnosis:findings-panel", args=[study.pk]),
        "worklist": reverse("diagnosis:worklist") + "?tab=all",
        "by verdict": reverse("diagnosis:worklist") + "?tab=all&verdict=definite",
        "patient": reverse("diagnosis:patient-detail", args=[study.patient_id]),
    }
    for name, url in pages.items():
        page = signed_in.get(url).content.decode()
        assert not [word for word in TELLS if word in page], name
    assert str(study.pk) not in signed_in.get(pages["by verdict"]).content.decode()
    heatmap = reverse("diagnosis:image-heatmap", args=[image.pk])
    assert signed_in.get(heatmap).status_code == 404
    asked = signed_in.get(pages["study"]).content.decode()
    assert "Is there a fracture?" in asked
    assert 'data-ai-hidden="true"' in asked
    signed_in.post(
        reverse("diagnosis:first-read", args=[study.pk]), {"answer": "unsure", "places": "[]"}
    )
    shown = signed_in.get(pages["study"]).content.decode()
    assert all(word in shown for word in TELLS)
    assert "Your first answer:" in shown


def test_the_api_tells_no_more_than_the_pages(learner, study, image):
    api = client_of(learner)
    finding = Finding.objects.get()
    detail = api.get(f"/api/v1/studies/{study.pk}/").json()
    assert (detail["verdict"], detail["probability"], detail["result"]) == ("", None, None)
    assert detail["images"][0]["result"] is None
    [row] = api.get("/api/v1/studies/").json()["results"]
    assert (row["verdict"], row["probability"]) == ("", None)
    assert api.get("/api/v1/studies/?verdict=definite").json()["results"] == []
    for path in (
        f"studies/{study.pk}/findings/",
        f"findings/{finding.pk}/",
        f"images/{image.pk}/heatmap/",
    ):
        refused = api.get(f"/api/v1/{path}")
        assert (refused.status_code, refused.json()["code"]) == (409, "first_read_missing"), path
    image_json = json.dumps(api.get(f"/api/v1/images/{image.pk}/").json())
    assert "definite" not in image_json


def test_fhir_tells_no_more_either(learner, study):
    assert not fhir_analyses(user=learner.user).exists()
    assert not fhir_findings(user=learner.user).exists()
    first_read_give(actor=learner.user, study=study, answer="no")
    assert fhir_analyses(user=learner.user).count() == 1
    assert fhir_findings(user=learner.user).count() == 1


def test_who_reads_first_gets_a_list_in_the_order_of_priority(signed_in, learner, study):
    calm = full_study(learner.clinic, family_name="Urgentone").study
    Study.objects.filter(pk=calm.pk).update(priority=0, urgency=0.0)
    page = signed_in.get(reverse("diagnosis:worklist") + "?tab=all").content.decode()
    assert page.index(str(calm.pk)) < page.index(str(study.pk))
