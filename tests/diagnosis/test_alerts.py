"""Critical results: raised once, told in levels, acknowledged; by rows that survive restarts."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from smtplib import SMTPException
from threading import Barrier

import pytest
from django.core import mail
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Alert, AlertRecipient, ClinicRules, Patient, Study
from diagnosis.selectors.alerts import alert_list, alerts_open_count
from diagnosis.services import alerts
from diagnosis.services.alerts import alert_acknowledge, alerts_sweep
from diagnosis.services.study_results import study_refresh
from tests.factories import (
    AnalysisFactory,
    MembershipFactory,
    PatientFactory,
    StudyFactory,
    StudyImageFactory,
)


@pytest.fixture
def people():
    """A doctor who is told first, one who is told next, and one who is not."""
    first = MembershipFactory(doctor=True)
    return [first, *(MembershipFactory(doctor=True, clinic=first.clinic) for _ in range(2))]


@pytest.fixture
def rules(people):
    clinic_id = people[0].clinic_id
    levels = [{"people": [str(each.user_id)], "minutes": 10} for each in people[:2]]
    with clinic_scope(clinic_id):
        ClinicRules.objects.create(
            clinic_id=clinic_id, critical_enabled=True, critical_levels=levels
        )
        yield ClinicRules.objects


def analysed(people, verdict="definite", **fields):
    """A study whose analysis has just ended."""
    patient = PatientFactory(
        clinic=people[0].clinic,
        family_name="Canary",
        record_number="MRN-CANARY",
        birth_date=date(1980, 5, 1),
    )
    image = StudyImageFactory(study=StudyFactory(patient=patient, **fields))
    AnalysisFactory(
        image=image, succeeded=True, verdict=verdict, probability=0.9 if verdict else None
    )
    with clinic_scope(patient.clinic_id):
        return study_refresh(study_id=image.study_id)


def overdue():
    Alert.objects.update(next_at=timezone.now() - timedelta(seconds=1))


def told():
    return list(AlertRecipient.objects.order_by("level").values_list("user", flat=True))


@pytest.mark.django_db
@pytest.mark.usefixtures("rules")
class TestAlerts:
    def test_a_definite_finding_tells_the_first_people_once(self, people):
        study = analysed(people)
        for _again in range(3):
            study_refresh(study_id=study.pk)
        assert told() == [people[0].user_id]
        assert [alerts_open_count(user=each.user) for each in people] == [1, 0, 0]
        event = AuditEvent.objects.get(action="alert.raise")
        assert (event.actor, event.patient_id) == (None, study.patient_id)

    def test_the_email_names_nobody_and_is_sent_once(self, people, settings):
        analysed(people)
        assert alerts_sweep() == 1
        assert alerts_sweep() == 0
        [message] = mail.outbox
        assert message.to == [people[0].user.email]
        assert settings.BASE_URL + reverse("diagnosis:alert-list") in message.body
        for word in ("Canary", "CANARY", "1980", "Ada"):
            assert word not in message.subject + message.body

    @pytest.mark.parametrize("verdict", ["negative", "suspicion"])
    def test_other_verdicts_tell_nobody(self, people, verdict):
        analysed(people, verdict)
        assert Alert.objects.count() == 0

    @pytest.mark.parametrize(
        ("rule", "study", "critical"),
        [
            ({"critical_enabled": False}, {}, False),
            ({"critical_levels": []}, {}, False),
            ({"critical_regions": ["wrist"]}, {"body_part": "wrist"}, True),
            ({"critical_regions": ["wrist"]}, {"body_part": "knee"}, False),
            ({"critical_regions": ["wrist"]}, {"body_part": ""}, True),  # not known: it counts
            ({"critical_severities": ["severe"]}, {}, True),
            ({"critical_priority": 1}, {"priority": 1}, True),
            ({"critical_priority": 1}, {"priority": 2}, False),
        ],
    )
    def test_the_clinic_says_what_is_critical(self, people, rules, rule, study, critical):
        rules.update(**rule)
        analysed(people, **study)
        assert Alert.objects.exists() == critical

    def test_without_an_answer_the_next_people_are_told_once(self, people):
        analysed(people)
        alerts_sweep()
        mail.outbox.clear()
        assert alerts_sweep() == 0  # not yet
        overdue()
        alerts_sweep()
        overdue_again = Alert.objects.get()
        assert (overdue_again.level, overdue_again.next_at) == (2, None)
        assert told() == [people[0].user_id, people[1].user_id]
        assert [message.to for message in mail.outbox] == [[people[1].user.email]]
        assert alerts_sweep() == 0
        assert AuditEvent.objects.filter(action="alert.escalate").count() == 1

    def test_the_first_answer_counts_and_stops_everything(self, people):
        analysed(people)
        alert = Alert.objects.get()
        alert_acknowledge(actor=people[2].user, alert=alert)  # a doctor who was not told
        later = alert_acknowledge(actor=people[0].user, alert=alert)
        assert later.acknowledged_by == people[2].user
        assert alerts_sweep() == 0
        assert mail.outbox == []
        assert told() == [people[0].user_id]
        assert alerts_open_count(user=people[0].user) == 0
        assert AuditEvent.objects.filter(action="alert.acknowledge").count() == 1

    def test_who_has_left_is_skipped(self, people):
        people[0].is_active = False
        people[0].save()
        analysed(people)
        assert told() == [people[1].user_id]
        assert Alert.objects.get().next_at is None

    def test_a_signed_study_raises_nothing(self, people):
        study = analysed(people, verdict="negative")
        Study.objects.filter(pk=study.pk).update(status="reported", verdict="definite")
        alerts.alert_consider(Study.objects.get(pk=study.pk))
        assert Alert.objects.count() == 0

    def test_an_email_that_fails_is_tried_again_and_at_last_given_up(self, people, monkeypatch):
        analysed(people)
        attempts = []

        def refuse(*_args, **_kwargs):
            attempts.append(1)
            raise SMTPException

        monkeypatch.setattr(alerts, "send_mail", refuse)
        for _round in range(alerts.MAIL_ATTEMPTS + 3):
            alerts_sweep()
            AlertRecipient.objects.filter(mail_due_at__isnull=False).update(
                mail_due_at=timezone.now() - timedelta(seconds=1)
            )
        assert len(attempts) == alerts.MAIL_ATTEMPTS
        assert AlertRecipient.objects.get().mailed_at is None
        assert alerts_open_count(user=people[0].user) == 1  # the bell does not need the mail

    def test_strangers_and_technicians_answer_nothing(self, people):
        analysed(people)
        alert = Alert.objects.get()
        technician = MembershipFactory(technician=True, clinic=people[0].clinic)
        stranger = MembershipFactory(doctor=True)
        for person in (technician, stranger):
            with pytest.raises(ActionDeniedError):
                alert_acknowledge(actor=person.user, alert=alert)
        assert Alert.objects.get().acknowledged_at is None

    def test_a_technician_who_was_told_answers(self, people, rules):
        technician = MembershipFactory(technician=True, clinic=people[0].clinic)
        rules.update(critical_levels=[{"people": [str(technician.user_id)], "minutes": 5}])
        analysed(people)
        alert_acknowledge(actor=technician.user, alert=Alert.objects.get())
        assert Alert.objects.get().acknowledged_by == technician.user

    def test_reading_the_list_costs_the_same_for_many(self, people, django_assert_num_queries):
        alert_list(user=people[0].user)  # whether the reader reads first is asked once
        for number in range(2):
            analysed(people)
            Patient.objects.filter(record_number="MRN-CANARY").update(record_number=number)
            with django_assert_num_queries(2):
                for alert in alert_list(user=people[0].user):
                    assert alert.study.patient.full_name
                    assert [each.user.email for each in alert.recipients.all()]


@pytest.mark.django_db(transaction=True)
def test_many_sweepers_at_once_tell_each_person_once(people):
    clinic_id = people[0].clinic_id
    levels = [{"people": [str(each.user_id)], "minutes": 10} for each in people[:2]]
    with clinic_scope(clinic_id):
        ClinicRules.objects.create(
            clinic_id=clinic_id, critical_enabled=True, critical_levels=levels
        )
    analysed(people)
    with clinic_scope(clinic_id):
        overdue()
    barrier = Barrier(6)

    def sweep(_number):
        try:
            barrier.wait(timeout=30)
            return alerts_sweep()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(sweep, range(6)))
    with clinic_scope(clinic_id):
        assert told() == [people[0].user_id, people[1].user_id]
        assert AuditEvent.objects.filter(action="alert.escalate").count() == 1
        assert AlertRecipient.objects.filter(mailed_at__isnull=False).count() == 2
    assert sorted(message.to[0] for message in mail.outbox) == sorted(
        each.user.email for each in people[:2]
    )


@pytest.mark.django_db
def test_the_bell_and_the_list_are_of_the_own_clinic(client, people, rules):
    analysed(people)
    [alert] = Alert.objects.all()
    stranger = MembershipFactory(doctor=True)
    client.force_login(stranger.user)
    assert b"Canary" not in client.get(reverse("diagnosis:alert-list")).content
    answer = client.post(reverse("diagnosis:alert-acknowledge", args=[alert.pk]))
    assert answer.status_code == 404
    client.force_login(people[0].user)
    assert b">1<" in client.get(reverse("diagnosis:alert-bell")).content
    assert b"Canary" in client.get(reverse("diagnosis:alert-list")).content
    client.post(reverse("diagnosis:alert-acknowledge", args=[alert.pk]))
    assert b">1<" not in client.get(reverse("diagnosis:alert-bell")).content
