"""Decisions about findings: what counts, who may, stale, concurrent, signed, foreign."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.http import Http404

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Finding, FindingReview
from diagnosis.selectors.findings import reviewed_finding_get, reviewed_findings_for
from diagnosis.services.finding_reviews import (
    finding_accept,
    finding_add,
    finding_change,
    finding_reject,
    finding_undo,
)
from diagnosis.services.report_basis import report_basis
from diagnosis.services.reports import report_amend, report_create, report_sign
from diagnosis.services.study_results import study_refresh
from fracture_site.common.errors import ConflictError, PreconditionError, RefusedInputError
from tests.diagnosis.test_reports import readable_study
from tests.factories import AnalysisFactory, FindingFactory, MembershipFactory, StudyImageFactory

pytestmark = pytest.mark.django_db
BOX = (50.0, 60.0, 40.0, 30.0)


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


@pytest.fixture
def study(doctor):
    study = readable_study(doctor)
    with clinic_scope(doctor.clinic_id):
        yield study


@pytest.fixture
def act(doctor, study):
    """Decide about the study's AI finding as it stands now."""

    def decide(service, **values):
        found = reviewed_finding_get(user=doctor.user, pk=Finding.objects.get().pk)
        return service(actor=doctor.user, found=found, revision=found.revision, **values)

    return decide


def the_finding(doctor, study):
    [found] = reviewed_findings_for(study=study, user=doctor.user)
    return found


def test_a_proposal_is_as_the_ai_made_it(doctor, study):
    found = the_finding(doctor, study)
    assert (found.state, found.source, found.revision) == ("proposed", "ai", 0)
    assert found.box == (10.0, 20.0, 30.0, 40.0)
    assert not found.is_confirmed


def test_the_newest_decision_counts_and_the_ai_row_stays_as_it_was(doctor, study, act):
    before = Finding.objects.values().get()
    act(finding_accept)
    assert the_finding(doctor, study).state == "accepted"
    act(finding_change, box=BOX)
    moved = the_finding(doctor, study)
    assert (moved.state, moved.box, moved.revision) == ("moved", BOX, 2)
    act(finding_reject, reason="growth_plate", text=" open physis ")
    rejected = the_finding(doctor, study)
    assert (rejected.state, rejected.is_confirmed) == ("rejected", False)
    assert rejected.box == (10.0, 20.0, 30.0, 40.0)
    assert rejected.review.reject_text == "open physis"
    assert Finding.objects.values().get() == before
    assert list(FindingReview.objects.values_list("number", flat=True)) == [1, 2, 3]


def test_describing_a_proposal_accepts_it_and_the_ai_reading_stays_a_suggestion(doctor, study, act):
    Finding.objects.update(fracture_type="transverse")
    act(finding_change, bone="radius", laterality="left")
    found = the_finding(doctor, study)
    assert (found.state, found.described("bone")) == ("accepted", "radius")
    assert (found.described("fracture_type"), found.suggested("fracture_type")) == (
        "", "transverse",
    )  # fmt: skip
    act(finding_change, fracture_type="comminuted")
    found = the_finding(doctor, study)
    assert (found.described("bone"), found.described("fracture_type")) == ("radius", "comminuted")
    assert found.suggested("fracture_type") == ""


def test_moving_keeps_the_description_and_accepting_again_the_ai_box(doctor, study, act):
    act(finding_change, bone="ulna")
    act(finding_change, box=BOX)
    assert the_finding(doctor, study).described("bone") == "ulna"
    act(finding_change, severity="mild")
    assert (the_finding(doctor, study).state, the_finding(doctor, study).box) == ("moved", BOX)
    act(finding_accept)
    assert the_finding(doctor, study).box == (10.0, 20.0, 30.0, 40.0)


def test_taking_back_makes_it_a_proposal_again_and_twice_brings_the_decision_back(
    doctor, study, act
):
    with pytest.raises(ConflictError) as nothing:
        act(finding_undo)
    assert nothing.value.code == "nothing_to_undo"
    act(finding_change, bone="radius")
    act(finding_reject, reason="artefact")
    act(finding_undo)
    assert the_finding(doctor, study).state == "proposed"
    act(finding_undo)
    back = the_finding(doctor, study)
    assert (back.state, back.review.reject_reason) == ("rejected", "artefact")
    act(finding_undo)
    act(finding_accept)
    assert the_finding(doctor, study).described("bone") == ""


def test_an_added_finding_is_the_doctors_own(doctor, study):
    image = study.images.get()
    review = finding_add(actor=doctor.user, image=image, box=BOX, bone="scaphoid")
    added = reviewed_finding_get(user=doctor.user, pk=review.uid)
    assert (added.state, added.source, added.probability) == ("added", "doctor", None)
    assert added.id == added.uid == review.uid
    assert [f.source for f in reviewed_findings_for(study=study, user=doctor.user)] == [
        "ai", "doctor",
    ]  # fmt: skip
    for service, values in ((finding_accept, {}), (finding_reject, {"reason": "artefact"})):
        with pytest.raises(ConflictError) as refused:
            service(actor=doctor.user, found=added, revision=1, **values)
        assert refused.value.code == "finding_added"
    finding_undo(actor=doctor.user, found=added, revision=1)
    assert [f.source for f in reviewed_findings_for(study=study, user=doctor.user)] == ["ai"]
    gone = reviewed_finding_get(user=doctor.user, pk=review.uid)
    finding_undo(actor=doctor.user, found=gone, revision=2)
    restored = reviewed_finding_get(user=doctor.user, pk=review.uid)
    assert (restored.state, restored.described("bone")) == ("added", "scaphoid")
    finding_change(actor=doctor.user, found=restored, revision=3, box=(1.0, 2.0, 3.0, 4.0))
    assert reviewed_finding_get(user=doctor.user, pk=review.uid).box == (1.0, 2.0, 3.0, 4.0)


def test_a_box_is_cut_at_the_edge_of_the_image(doctor, study):
    image = study.images.get()
    review = finding_add(actor=doctor.user, image=image, box=(-10.0, 480.0, 60.0, 90.0))
    assert (review.x, review.y, review.width, review.height) == (0.0, 480.0, 50.0, 20.0)


@pytest.mark.parametrize(
    "box",
    [
        (10.0, 10.0, 0.0, 5.0), (10.0, 10.0, 1.0, 50.0), (500.0, 10.0, 20.0, 20.0),
        (float("nan"), 1.0, 20.0, 20.0), (1.0, 1.0, float("inf"), 20.0), (10.0, 10.0, -5.0, 9.0),
    ],
)  # fmt: skip
def test_a_box_without_area_on_the_image_is_refused(doctor, study, box):
    with pytest.raises(RefusedInputError) as refused:
        finding_add(actor=doctor.user, image=study.images.get(), box=box)
    assert refused.value.code == "box_unusable"
    assert not FindingReview.objects.exists()


@pytest.mark.parametrize(
    ("service", "values", "code"),
    [
        (finding_reject, {"reason": ""}, "reject_reason_missing"),
        (finding_reject, {"reason": "because"}, "reject_reason_missing"),
        (finding_change, {"bone": "nose"}, "description_unknown"),
        (finding_change, {"laterality": "both"}, "description_unknown"),
        (finding_change, {"box": (0.0, 0.0, 0.0, 0.0)}, "box_unusable"),
    ],
)
def test_unknown_words_are_refused_and_nothing_is_stored(act, service, values, code):
    with pytest.raises(RefusedInputError) as refused:
        act(service, **values)
    assert refused.value.code == code
    assert not FindingReview.objects.exists()


def test_a_decision_on_top_of_one_that_was_not_seen_is_refused(doctor, study, act):
    stale = the_finding(doctor, study)
    act(finding_accept)
    for service, values in ((finding_reject, {"reason": "artefact"}), (finding_accept, {})):
        with pytest.raises(PreconditionError) as refused:
            service(actor=doctor.user, found=stale, revision=0, **values)
        assert (refused.value.code, refused.value.extra) == ("finding_changed", {"revision": 1})
    assert the_finding(doctor, study).state == "accepted"


@pytest.mark.parametrize("role", ["technician", "clinic_admin"])
def test_only_doctors_of_the_clinic_decide(doctor, study, role):
    found = the_finding(doctor, study)
    for other in (MembershipFactory(clinic=doctor.clinic, **{role: True}), MembershipFactory()):
        with pytest.raises(ActionDeniedError):
            finding_accept(actor=other.user, found=found, revision=0)
        with pytest.raises(ActionDeniedError):
            finding_add(actor=other.user, image=found.image, box=BOX)


def test_another_clinic_finds_neither_the_ai_finding_nor_an_added_one(doctor, study):
    review = finding_add(actor=doctor.user, image=study.images.get(), box=BOX)
    stranger = MembershipFactory(doctor=True)
    ids = (Finding.objects.get().pk, review.uid)
    with clinic_scope(stranger.clinic_id):
        for pk in ids:
            with pytest.raises(Http404):
                reviewed_finding_get(user=stranger.user, pk=pk)
        assert reviewed_findings_for(study=study, user=stranger.user) == []


def test_a_signed_report_closes_its_findings_until_it_is_amended(doctor, study, act):
    act(finding_accept)
    finding_add(actor=doctor.user, image=study.images.get(), box=BOX, bone="ulna")
    report = report_create(actor=doctor.user, study=study)
    version = report_sign(actor=doctor.user, report=report)
    assert [(f["state"], f["source"], f["bone"]) for f in version.reviewed_findings] == [
        ("accepted", "ai", ""), ("added", "doctor", "ulna"),
    ]  # fmt: skip
    with pytest.raises(ConflictError) as refused:
        act(finding_reject, reason="artefact")
    assert refused.value.code == "report_signed"
    with pytest.raises(ConflictError):
        finding_add(actor=doctor.user, image=study.images.get(), box=BOX)
    report_amend(actor=doctor.user, report=report, reason="Looked again")
    act(finding_reject, reason="artefact")
    amended = report_sign(actor=doctor.user, report=report)
    version.refresh_from_db()
    assert version.reviewed_findings[0]["state"] == "accepted"
    assert amended.reviewed_findings[0]["state"] == "rejected"


def test_the_writers_own_decision_keeps_the_draft_and_a_colleagues_does_not(doctor, study, act):
    report = report_create(actor=doctor.user, study=study)
    act(finding_accept)
    colleague = MembershipFactory(doctor=True, clinic=doctor.clinic)
    found = the_finding(doctor, study)
    finding_reject(actor=colleague.user, found=found, revision=1, reason="artefact")
    with pytest.raises(PreconditionError) as refused:
        report_sign(actor=doctor.user, report=report)
    assert refused.value.code == "study_changed"
    act(finding_accept)  # he has not read the colleague's decision by that
    with pytest.raises(PreconditionError):
        report_sign(actor=doctor.user, report=report)
    draft = report.versions.get()
    draft.basis = report_basis(study)
    draft.save()
    assert report_sign(actor=doctor.user, report=report).reviewed_findings[0]["revision"] == 3


def test_what_a_doctor_confirmed_survives_a_new_run_and_what_he_rejected_does_not(
    doctor, study, act
):
    image = study.images.get()
    other = FindingFactory(analysis=AnalysisFactory.create(succeeded=True, image=image))
    study_refresh(study_id=study.pk)
    old = Finding.objects.exclude(pk=other.pk).get()
    found = reviewed_finding_get(user=doctor.user, pk=old.pk)
    finding_accept(actor=doctor.user, found=found, revision=0)
    shown = reviewed_findings_for(study=study, user=doctor.user)
    assert {(f.id, f.is_current) for f in shown} == {(other.pk, True), (old.pk, False)}
    found = reviewed_finding_get(user=doctor.user, pk=old.pk)
    finding_reject(actor=doctor.user, found=found, revision=1, reason="artefact")
    assert [f.id for f in reviewed_findings_for(study=study, user=doctor.user)] == [other.pk]


def test_findings_cost_the_same_queries_however_many(doctor, study, act, django_assert_num_queries):
    act(finding_accept)
    for _more in range(3):
        image = StudyImageFactory(study=study)
        FindingFactory(analysis=AnalysisFactory(succeeded=True, image=image))
        finding_add(actor=doctor.user, image=image, box=BOX)
    with django_assert_num_queries(4):
        found = reviewed_findings_for(study=study, user=doctor.user)
        assert [f.described("bone") for f in found] == [""] * 7
        assert len({f.review.author.email for f in found if f.review}) == 1


def test_each_decision_leaves_an_event_that_names_ids_only(doctor, study, act):
    act(finding_accept)
    act(finding_reject, reason="other", text="Zimmermann moved his arm")
    events = AuditEvent.objects.filter(action__startswith="finding.").order_by("id")
    assert [e.action for e in events] == ["finding.accepted", "finding.rejected"]
    assert {e.patient_id for e in events} == {study.patient_id}
    assert "Zimmermann" not in str([e.details for e in events])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE diagnosis_findingreview SET decision = 'accepted' WHERE id = %s",
        "DELETE FROM diagnosis_findingreview WHERE id = %s",
    ],
)
def test_the_database_refuses_to_change_a_decision(doctor, study, act, statement):
    review = act(finding_accept)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, [review.pk])


def test_the_database_refuses_contradictions(doctor, study, act):
    review = act(finding_accept)
    for change in (
        {"decision": "added"},
        {"reject_reason": "artefact"},
        {"decision": "rejected"},
        {"width": 0.0},
        {"number": 1},
    ):
        values = {f.attname: getattr(review, f.attname) for f in FindingReview._meta.fields}
        del values["id"], values["created_at"]
        with pytest.raises(IntegrityError), transaction.atomic():
            FindingReview.objects.create(**{**values, "number": 2, **change})


@pytest.mark.django_db(transaction=True)
def test_of_two_doctors_who_decide_at_once_one_is_told():
    doctor = MembershipFactory(doctor=True)
    study = readable_study(doctor)
    with clinic_scope(doctor.clinic_id):
        found = the_finding(doctor, study)
    barrier = Barrier(3)

    def decide(number: int) -> str:
        barrier.wait()
        try:
            with clinic_scope(doctor.clinic_id):
                if number:
                    finding_accept(actor=doctor.user, found=found, revision=0)
                else:
                    finding_reject(actor=doctor.user, found=found, revision=0, reason="artefact")
        except PreconditionError as error:
            return error.code
        finally:
            connection.close()
        return "decided"

    with ThreadPoolExecutor(3) as pool:
        outcomes = sorted(pool.map(decide, range(3)))
    assert outcomes == ["decided", "finding_changed", "finding_changed"]
