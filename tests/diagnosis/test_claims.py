"""Claims: one doctor a study, decided by the database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Study, StudyClaim
from diagnosis.selectors.worklist import live_claim, worklist
from diagnosis.services.claims import (
    claim_release,
    claim_renew,
    claim_take,
    claim_take_over,
    studies_assign,
)
from fracture_site.common.errors import ConflictError, RefusedInputError
from tests.factories import MembershipFactory, PatientFactory, StudyFactory

TIMEOUT = settings.STUDY_CLAIM_TIMEOUT


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


@pytest.fixture
def colleague(doctor):
    return MembershipFactory(doctor=True, clinic=doctor.clinic)


@pytest.fixture
def study(doctor):
    return StudyFactory(patient=PatientFactory(clinic=doctor.clinic), status="ready")


@pytest.fixture
def scope(doctor):
    with clinic_scope(doctor.clinic_id):
        yield


def age(study, by):
    """Let the claim's last sign of life be older, as the database's clock sees it."""
    StudyClaim.objects.filter(study=study).update(seen_at=timezone.now() - by)


@pytest.mark.django_db
@pytest.mark.usefixtures("scope")
class TestClaims:
    def test_a_claim_is_exclusive_until_it_is_released(self, doctor, colleague, study):
        claim_take(actor=doctor.user, study=study)
        with pytest.raises(ConflictError, match="study_claimed") as refused:
            claim_take(actor=colleague.user, study=study)
        assert refused.value.extra["doctor"] == str(doctor.user.pk)
        assert doctor.user.display_name in str(refused.value.detail)
        assert not claim_release(actor=colleague.user, study=study)
        assert claim_release(actor=doctor.user, study=study)
        assert claim_take(actor=colleague.user, study=study).doctor == colleague.user

    def test_claiming_again_keeps_the_start_and_is_recorded_once(self, doctor, study):
        first = claim_take(actor=doctor.user, study=study)
        again = claim_take(actor=doctor.user, study=study)
        assert again.claimed_at == first.claimed_at
        assert again.token != first.token
        assert AuditEvent.objects.filter(action="study.claim").count() == 1

    def test_a_page_that_is_left_does_not_release_what_a_newer_one_holds(self, doctor, study):
        old = claim_take(actor=doctor.user, study=study).token
        new = claim_take(actor=doctor.user, study=study).token
        assert not claim_release(actor=doctor.user, study=study, token=old)
        assert claim_release(actor=doctor.user, study=study, token=new)

    def test_it_ends_without_activity_and_not_a_moment_earlier(self, doctor, colleague, study):
        claim_take(actor=doctor.user, study=study)
        age(study, TIMEOUT - timedelta(minutes=1))
        assert live_claim(user=colleague.user, study=study).doctor == doctor.user
        with pytest.raises(ConflictError):
            claim_take(actor=colleague.user, study=study)
        age(study, TIMEOUT + timedelta(seconds=1))
        assert live_claim(user=colleague.user, study=study) is None
        assert claim_take(actor=colleague.user, study=study).doctor == colleague.user
        assert not claim_renew(actor=doctor.user, study=study)

    def test_a_sign_of_life_renews_it(self, doctor, study):
        claim_take(actor=doctor.user, study=study)
        age(study, TIMEOUT - timedelta(minutes=1))
        assert claim_renew(actor=doctor.user, study=study)
        seen = StudyClaim.objects.get(study=study).seen_at
        assert timezone.now() - seen < timedelta(minutes=1)

    def test_taking_over_names_who_held_it_and_fails_when_somebody_else_does(
        self, doctor, colleague, study
    ):
        third = MembershipFactory(doctor=True, clinic=doctor.clinic)
        claim_take(actor=doctor.user, study=study)
        claim_take_over(actor=colleague.user, study=study, holder_id=doctor.user.pk)
        assert not claim_renew(actor=doctor.user, study=study)
        event = AuditEvent.objects.get(action="study.claim_take_over")
        assert (event.actor, event.details["from_doctor"]) == (
            colleague.user,
            str(doctor.user.pk),
        )
        with pytest.raises(ConflictError) as refused:
            claim_take_over(actor=third.user, study=study, holder_id=doctor.user.pk)
        assert refused.value.extra["doctor"] == str(colleague.user.pk)

    def test_only_doctors_of_the_clinic_claim(self, doctor, study):
        technician = MembershipFactory(technician=True, clinic=doctor.clinic)
        stranger = MembershipFactory(doctor=True)
        for person in (technician, stranger):
            for change in (claim_take, claim_renew, claim_release):
                with pytest.raises(ActionDeniedError):
                    change(actor=person.user, study=study)
        assert StudyClaim.objects.count() == 0

    def test_what_i_read_and_what_was_given_to_me_is_mine(self, doctor, colleague, study):
        given = StudyFactory(patient=study.patient, status="ready")
        StudyFactory(patient=study.patient, status="ready")
        claim_take(actor=doctor.user, study=study)
        studies_assign(
            actor=colleague.user,
            clinic_id=doctor.clinic_id,
            study_ids=[given.pk],
            doctor_id=doctor.user.pk,
        )
        assert set(worklist(user=doctor.user, tab="mine")) == {study, given}
        age(study, TIMEOUT * 2)
        assert set(worklist(user=doctor.user, tab="mine")) == {given}
        assert list(worklist(user=colleague.user, tab="mine")) == []

    def test_studies_are_given_to_doctors_of_the_clinic_only(self, doctor, study):
        technician = MembershipFactory(technician=True, clinic=doctor.clinic)
        stranger = MembershipFactory(doctor=True)
        left = MembershipFactory(doctor=True, clinic=doctor.clinic, is_active=False)

        def assign(to, ids):
            return studies_assign(
                actor=doctor.user, clinic_id=doctor.clinic_id, study_ids=ids, doctor_id=to
            )

        for person in (technician, stranger, left):
            with pytest.raises(RefusedInputError, match="doctor_unknown"):
                assign(person.user.pk, [study.pk])
        with pytest.raises(RefusedInputError, match="nothing_selected"):
            assign(doctor.user.pk, [])
        with pytest.raises(RefusedInputError, match="too_many_selected"):
            assign(doctor.user.pk, [study.pk] * 201)
        foreign = StudyFactory()
        assert assign(doctor.user.pk, [study.pk, foreign.pk]) == 1
        assert assign(doctor.user.pk, [study.pk]) == 0
        assert AuditEvent.objects.filter(action="study.assign").count() == 1
        assert assign(None, [study.pk]) == 1
        assert Study.objects.get(pk=study.pk).assigned_to is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", ["free", "timed_out", "taken_over"])
def test_of_many_doctors_at_once_exactly_one_holds_the_claim(doctor, study, state):
    """Eight doctors press the button at the same moment, ten times."""
    doctors = [MembershipFactory(doctor=True, clinic=doctor.clinic).user for _ in range(8)]
    for _round in range(10):
        with clinic_scope(doctor.clinic_id):
            StudyClaim.objects.all().delete()
            if state != "free":
                claim_take(actor=doctor.user, study=study)
            if state == "timed_out":
                age(study, TIMEOUT * 2)
        barrier = Barrier(len(doctors))

        def press(person, barrier=barrier):
            try:
                barrier.wait(timeout=30)
                with clinic_scope(doctor.clinic_id):
                    if state == "taken_over":
                        holder = doctor.user.pk
                        return claim_take_over(actor=person, study=study, holder_id=holder).doctor
                    return claim_take(actor=person, study=study).doctor
            except ConflictError as conflict:
                return conflict
            finally:
                connection.close()

        with ThreadPoolExecutor(len(doctors)) as pool:
            outcomes = list(pool.map(press, doctors))
        winners = [each for each in outcomes if not isinstance(each, ConflictError)]
        assert len(winners) == 1
        with clinic_scope(doctor.clinic_id):
            assert StudyClaim.objects.get().doctor == winners[0]
