"""Deliveries: promised once, sent in order, tried again patiently, given up visibly."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import AuditEvent, Role
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis import jobs, tasks
from diagnosis.models import Delivery, Event
from diagnosis.services import delivery_senders
from diagnosis.services.deliveries import deliveries_promise, delivery_cancel, delivery_send_again
from diagnosis.services.delivery_runs import deliveries_sweep
from diagnosis.services.delivery_senders import Sender
from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError
from fracture_site.common.errors import ConflictError
from tests.factories import (
    DeliveryFactory,
    DestinationFactory,
    MembershipFactory,
    StudyFactory,
)

pytestmark = pytest.mark.django_db


class Peer:
    """A sender that notes what it is asked to send and answers as told."""

    def __init__(self) -> None:
        self.sent: list = []
        self.answer: Exception | None = None

    def prepare(self, delivery):
        def send() -> list[str]:
            if self.answer:
                raise self.answer
            self.sent.append(delivery.pk)
            return [str(delivery.number)]

        return send

    def test(self, destination) -> None:
        if self.answer:
            raise self.answer


@pytest.fixture
def peer(monkeypatch) -> Peer:
    peer = Peer()
    sender = Sender(prepare=peer.prepare, test=peer.test)
    monkeypatch.setattr(delivery_senders, "SENDERS", {"dicom_cstore": sender})
    return peer


@pytest.fixture
def study():
    return StudyFactory()


@pytest.fixture
def destination(study):
    return DestinationFactory(clinic=study.clinic)


def delivery(study, destination, number, **values) -> Delivery:
    return DeliveryFactory(study=study, destination=destination, number=number, **values)


def fresh(row: Delivery) -> Delivery:
    with clinic_scope(row.clinic_id):
        return Delivery.objects.get(pk=row.pk)


def change(row: Delivery, **values) -> None:
    with clinic_scope(row.clinic_id):
        Delivery.objects.filter(pk=row.pk).update(**values)


def promise(study, subject: str, event: str = Event.REPORT_SIGNED) -> list[Delivery]:
    with clinic_scope(study.clinic_id):
        return deliveries_promise(study=study, event=event, subject=subject)


def claimed():
    claim = jobs.job_claim_next(Delivery)
    return claim.job_id if claim else None


def test_an_event_is_promised_once_to_each_destination_that_asks_for_it(study, destination):
    other = DestinationFactory(clinic=study.clinic)
    DestinationFactory(clinic=study.clinic, is_enabled=False)
    DestinationFactory(clinic=study.clinic, events=[Event.RESULT_READY])
    DestinationFactory()  # another clinic's

    first = promise(study, "v1")

    assert {row.destination_id for row in first} == {destination.pk, other.pk}
    assert promise(study, "v1") == []
    assert [row.number for row in promise(study, "v2")] == [2, 2]


def test_a_later_one_waits_for_the_earlier(study, destination):
    first, second = delivery(study, destination, 1), delivery(study, destination, 2)

    assert claimed() == first.pk
    assert claimed() is None  # while the first one runs

    change(first, status="queued", token=None, lease_expires_at=None, due_at=Now() + timedelta(1))
    assert claimed() is None  # while it waits for the peer

    change(first, status="failed", error_code="x", finished_at=Now())
    assert claimed() == second.pk


def test_other_studies_and_destinations_do_not_wait(study, destination):
    first = delivery(study, destination, 1)
    elsewhere = delivery(study, DestinationFactory(clinic=study.clinic), 1)
    other = delivery(StudyFactory(patient=study.patient), destination, 1)

    assert {claimed(), claimed(), claimed()} == {first.pk, elsewhere.pk, other.pk}


def test_an_earlier_one_is_not_sent_beside_a_later_one_that_runs(study, destination):
    later = delivery(study, destination, 2)
    assert claimed() == later.pk
    earlier = delivery(study, destination, 1)

    assert claimed() is None

    change(later, lease_expires_at=Now() - timedelta(seconds=1))  # its courier died
    assert claimed() == earlier.pk


@pytest.mark.django_db(transaction=True)
def test_simultaneous_couriers_never_run_two_of_one_study(transactional_db):
    study = StudyFactory()
    destination = DestinationFactory(clinic=study.clinic)
    for number in range(1, 5):
        delivery(study, destination, number)

    def claim(_number: int):
        try:
            return claimed()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = [pk for pk in pool.map(claim, range(8)) if pk]
    assert len(found) == 1


def test_what_is_sent_is_on_record(peer, study, destination):
    row = delivery(study, destination, 1)

    assert tasks.run_next_delivery() == 1

    assert (fresh(row).status, fresh(row).sent) == ("succeeded", ["1"])
    assert peer.sent == [row.pk]
    with clinic_scope(study.clinic_id):
        event = AuditEvent.objects.get(action="delivery.succeeded")
    assert event.patient_id == study.patient_id


def test_a_peer_that_is_away_costs_no_attempt_and_holds_back_what_else_goes_there(
    peer, study, destination
):
    peer.answer = PeerUnavailableError("peer_unreachable")
    first = delivery(study, destination, 1)
    second = delivery(StudyFactory(patient=study.patient), destination, 1)

    assert tasks.run_next_delivery() == 1

    row = fresh(first)
    assert (row.status, row.attempts, row.error_code) == ("queued", 0, "peer_unreachable")
    assert row.due_at > timezone.now() + timedelta(seconds=1)
    assert fresh(second).due_at == row.due_at
    assert claimed() is None


def test_patience_ends_and_people_see_why(peer, study, destination, settings):
    peer.answer = PeerUnavailableError("peer_unreachable")
    row = delivery(study, destination, 1, started_at=timezone.now() - timedelta(hours=25))

    tasks.run_next_delivery()

    assert (fresh(row).status, fresh(row).error_code) == ("failed", "peer_unreachable")


def test_a_refusal_is_final_at_once(peer, study, destination):
    peer.answer = PeerRefusedError("peer_refused")
    row = delivery(study, destination, 1)

    tasks.run_next_delivery()

    assert (fresh(row).status, fresh(row).error_code) == ("failed", "peer_refused")


def test_an_unknown_error_is_tried_a_few_times(peer, study, destination):
    peer.answer = RuntimeError("what is this")
    row = delivery(study, destination, 1)

    for _ in range(3):
        change(row, due_at=Now())
        tasks.run_next_delivery()

    assert (fresh(row).status, fresh(row).attempts) == ("failed", 3)


def test_a_destination_that_was_switched_off_gets_nothing(peer, study):
    row = delivery(study, DestinationFactory(clinic=study.clinic, is_enabled=False), 1)

    tasks.run_next_delivery()

    assert (fresh(row).status, fresh(row).error_code) == ("failed", "destination_off")
    assert peer.sent == []


def test_a_courier_that_dies_every_time_is_noticed(study, destination):
    row = delivery(study, destination, 1)
    for _ in range(3):
        assert claimed()
        change(row, lease_expires_at=Now() - timedelta(seconds=1))

    deliveries_sweep()

    assert (fresh(row).status, fresh(row).error_code) == ("failed", "worker_lost")


@pytest.fixture
def doctor(study):
    return MembershipFactory(clinic=study.clinic, roles=[Role.DOCTOR]).user


def test_a_failed_one_is_sent_again(peer, study, destination, doctor):
    row = delivery(study, destination, 1, status="failed", error_code="x", attempts=3,
                   started_at=timezone.now() - timedelta(hours=30),
                   finished_at=timezone.now())  # fmt: skip

    with clinic_scope(study.clinic_id):
        delivery_send_again(actor=doctor, delivery=row)
    tasks.run_next_delivery()

    assert fresh(row).status == "succeeded"


def test_an_old_version_never_replaces_a_newer_one(study, destination, doctor):
    failed = {"status": "failed", "error_code": "x", "finished_at": timezone.now()}
    old = delivery(study, destination, 1, **failed)
    delivery(study, destination, 2, status="succeeded", finished_at=timezone.now())

    with clinic_scope(study.clinic_id), pytest.raises(ConflictError) as refusal:
        delivery_send_again(actor=doctor, delivery=old)
    assert refusal.value.code == "newer_delivered"


def test_one_that_was_sent_is_not_sent_again(study, destination, doctor):
    sent = delivery(study, destination, 1, status="succeeded", finished_at=timezone.now())

    with clinic_scope(study.clinic_id), pytest.raises(ConflictError) as refusal:
        delivery_send_again(actor=doctor, delivery=sent)
    assert refusal.value.code == "delivery_not_failed"


def test_giving_one_up_lets_the_next_go_on(study, destination, doctor):
    first, second = delivery(study, destination, 1), delivery(study, destination, 2)

    with clinic_scope(study.clinic_id):
        delivery_cancel(actor=doctor, delivery=first)

    assert claimed() == second.pk


def test_technicians_send_nothing(study, destination):
    technician = MembershipFactory(clinic=study.clinic, roles=[Role.TECHNICIAN]).user
    row = delivery(study, destination, 1, status="failed", error_code="x",
                   finished_at=timezone.now())  # fmt: skip

    with clinic_scope(study.clinic_id), pytest.raises(ActionDeniedError):
        delivery_send_again(actor=technician, delivery=row)


def test_nothing_is_promised_twice_by_the_database_either(study, destination):
    subject = str(uuid4())
    delivery(study, destination, 1, subject=subject)
    from django.db import IntegrityError, transaction

    with (
        clinic_scope(study.clinic_id),
        pytest.raises(IntegrityError, match="delivery_once"),
        transaction.atomic(),
    ):
        Delivery.objects.create(
            clinic_id=study.clinic_id, study=study, destination=destination,
            event=Event.REPORT_SIGNED, subject=subject, number=2,
        )  # fmt: skip
