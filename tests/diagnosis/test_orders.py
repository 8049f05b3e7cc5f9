"""Orders of outside systems: repeated, late, contradicting, and of other people."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEvent, Role
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.interop.orders import OrderTold, body_part_of, side_of
from diagnosis.models import Order, Priority, Study
from diagnosis.selectors.orders import modality_worklist, order_list
from diagnosis.services.orders import Effect, order_cancel, order_place
from diagnosis.services.patients import patient_merge
from fracture_site.common.errors import ConflictError, RefusedInputError
from tests.factories import (
    ClinicFactory,
    MembershipFactory,
    OrderFactory,
    PatientFactory,
    StudyFactory,
    StudyImageFactory,
)

pytestmark = pytest.mark.django_db
NOW = timezone.now()
WRIST = OrderTold(
    source="hl7:RIS|HOSPITAL",
    placer_number="P-1",
    told_at=NOW,
    accession_number="A-1",
    study_instance_uid="1.2.3.4",
    clinical_question="Fall",
    body_part="wrist",
    side="left",
    priority=Priority.URGENT,
    procedure_code="XR-WRIST",
    procedure_text="Wrist two views",
)


@pytest.fixture
def member(db):
    return MembershipFactory(roles=[Role.TECHNICIAN, Role.DOCTOR])


@pytest.fixture
def patient(member):
    return PatientFactory(clinic=member.clinic)


@pytest.fixture
def place(member, patient):
    def _place(told=WRIST, whose=patient, **changes):
        with clinic_scope(member.clinic_id):
            return order_place(
                actor=member.user,
                clinic_id=member.clinic_id,
                patient=whose,
                told=replace(told, **changes),
            )

    return _place


@pytest.fixture
def cancel(member):
    def _cancel(**changes):
        with clinic_scope(member.clinic_id):
            return order_cancel(
                actor=member.user, clinic_id=member.clinic_id, told=replace(WRIST, **changes)
            )

    return _cancel


def worklist(clinic_id, **window):
    with clinic_scope(clinic_id):
        return list(modality_worklist(clinic_id=clinic_id, **window))


def test_a_new_order_makes_a_study_that_modalities_find(place, member, patient):
    order, effect = place()

    assert effect == Effect.CREATED
    [entry] = worklist(member.clinic_id)
    study = entry.study
    assert (entry.pk, entry.patient) == (order.pk, patient)
    assert (study.accession_number, study.study_instance_uid) == ("A-1", "1.2.3.4")
    assert (study.body_part, study.side, study.priority) == ("wrist", "left", Priority.URGENT)
    with clinic_scope(member.clinic_id):
        assert AuditEvent.objects.filter(action="order.create", patient_id=patient.pk).exists()


def test_an_order_without_numbers_gets_ones_that_dicom_can_carry(place):
    order, _ = place(accession_number=None, study_instance_uid=None)

    assert order.study.accession_number.startswith("FS")
    assert len(order.study.accession_number) == 16
    assert order.study.study_instance_uid == f"2.25.{order.study.pk.int}"


def test_a_repeated_order_changes_nothing(place, member):
    first, _ = place()
    again, effect = place()

    assert (again.pk, effect) == (first.pk, Effect.UNCHANGED)
    with clinic_scope(member.clinic_id):
        assert Study.objects.count() == 1
        assert AuditEvent.objects.filter(action__startswith="order.").count() == 1


def test_a_change_reaches_the_study_and_what_is_not_told_stays(place):
    first, _ = place()
    later = OrderTold(
        source=WRIST.source,
        placer_number="P-1",
        told_at=NOW + timedelta(minutes=1),
        side="right",
        station_ae_title="ROOM1",
    )
    order, effect = place(later)

    assert (order.pk, effect) == (first.pk, Effect.UPDATED)
    study = order.study
    assert (study.side, study.body_part, study.clinical_question) == ("right", "wrist", "Fall")
    assert (order.station_ae_title, order.procedure_code) == ("ROOM1", "XR-WRIST")


def test_a_message_that_was_overtaken_changes_nothing(place):
    place(told_at=NOW, side="right")
    order, effect = place(told_at=NOW - timedelta(seconds=1), side="left")

    assert effect == Effect.SUPERSEDED
    assert order.study.side == "right"


def test_a_number_of_another_patients_order_is_refused(place, member):
    place()
    other = PatientFactory(clinic=member.clinic)
    with pytest.raises(ConflictError, match="order_of_other_patient"):
        place(whose=other)
    with pytest.raises(ConflictError, match="accession_of_other_patient"):
        place(whose=other, placer_number="P-2", study_instance_uid="1.2.3.5")
    with pytest.raises(ConflictError, match="study_uid_of_other_patient"):
        place(whose=other, placer_number="P-2", accession_number="A-2")
    with clinic_scope(member.clinic_id):
        assert Order.objects.count() == Study.objects.count() == 1


def test_the_same_numbers_of_two_senders_and_of_two_clinics_are_different_orders(place, member):
    place()
    _, effect = place(source="hl7:OTHER|", accession_number="A-2", study_instance_uid="1.2.9")
    assert effect == Effect.CREATED
    elsewhere = OrderFactory(study__patient__clinic=ClinicFactory(), placer_number="P-1")
    assert elsewhere.clinic_id != member.clinic_id
    with clinic_scope(member.clinic_id):
        assert order_list(user=member.user).count() == 2


def test_two_orders_of_one_examination_share_the_study(place, member):
    first, _ = place()
    second, effect = place(placer_number="P-2", clinical_question=None)

    assert effect == Effect.CREATED
    assert second.study.pk == first.study.pk


def test_an_order_finds_the_study_that_was_registered_by_hand(place, patient):
    study = StudyFactory(patient=patient, accession_number="A-1")
    order, _ = place()

    assert order.study.pk == study.pk
    assert order.study.study_instance_uid == "1.2.3.4"


def test_a_cancelled_order_leaves_the_worklist_and_does_not_come_back(place, cancel, member):
    place()
    order, effect = cancel(told_at=NOW + timedelta(minutes=1))
    assert (order.status, effect) == (Order.Status.CANCELLED, Effect.UPDATED)
    assert worklist(member.clinic_id) == []

    assert cancel(told_at=NOW + timedelta(minutes=2))[1] == Effect.UNCHANGED
    assert place()[1] == Effect.SUPERSEDED  # the late original
    with pytest.raises(ConflictError, match="order_cancelled"):
        place(told_at=NOW + timedelta(minutes=3))


def test_what_was_examined_cannot_be_cancelled(place, cancel, member):
    order, _ = place()
    StudyImageFactory(study=order.study)
    with pytest.raises(ConflictError, match="order_has_images"):
        cancel(told_at=NOW + timedelta(minutes=1))


def test_an_unknown_order_cannot_be_cancelled_and_an_old_cancellation_is_late(place, cancel):
    with pytest.raises(RefusedInputError, match="order_unknown"):
        cancel()
    place()
    assert cancel(told_at=NOW - timedelta(minutes=1))[1] == Effect.SUPERSEDED


def test_orders_follow_a_merged_patient(place, member, patient):
    place()
    kept = PatientFactory(clinic=member.clinic)
    with clinic_scope(member.clinic_id):
        patient_merge(actor=member.user, source=patient, target=kept)
        patient.refresh_from_db()
    order, effect = place(whose=patient, told_at=NOW + timedelta(minutes=1))

    assert effect == Effect.UNCHANGED
    assert order.patient == kept


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"placer_number": ""}, "order_number_missing"),
        ({"placer_number": "x" * 65}, "too_long"),
        ({"procedure_text": "x" * 201}, "too_long"),
        ({"study_instance_uid": "1.2/3"}, "study_uid_malformed"),
        ({"body_part": "heart"}, "body_part_unknown"),
        ({"side": "middle"}, "side_unknown"),
        ({"priority": 9}, "priority_unknown"),
    ],
)
def test_bad_orders_are_refused_whole(place, member, changes, code):
    with pytest.raises(RefusedInputError, match=code):
        place(**changes)
    with clinic_scope(member.clinic_id):
        assert Study.objects.count() == 0


def test_who_may_not_register_may_not_order(patient):
    admin = MembershipFactory(clinic=patient.clinic, roles=[Role.CLINIC_ADMIN])
    with clinic_scope(patient.clinic_id), pytest.raises(ActionDeniedError):
        order_place(actor=admin.user, clinic_id=patient.clinic_id, patient=patient, told=WRIST)


def test_the_worklist_keeps_to_its_window_and_ends_with_the_first_image(place, member):
    tomorrow = NOW + timedelta(days=1)
    order, _ = place(scheduled_at=tomorrow)
    place(
        placer_number="P-2",
        accession_number="A-2",
        study_instance_uid=None,
    )

    def numbers(**window):
        return [row.placer_number for row in worklist(member.clinic_id, **window)]

    assert numbers() == ["P-1", "P-2"]
    assert numbers(until=NOW) == ["P-2"]
    assert numbers(since=tomorrow + timedelta(hours=1)) == ["P-2"]
    with clinic_scope(member.clinic_id):
        Study.objects.filter(pk=order.study_id).update(status=Study.Status.QUEUED)
    assert numbers() == ["P-2"]


@pytest.mark.django_db(transaction=True)
def test_of_many_simultaneous_repetitions_one_makes_the_order(member, patient):
    barrier = Barrier(4)

    def send(_number):
        barrier.wait()
        try:
            with clinic_scope(member.clinic_id):
                _order, effect = order_place(
                    actor=member.user, clinic_id=member.clinic_id, patient=patient, told=WRIST
                )
            return effect
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        effects = sorted(pool.map(send, range(4)))
    assert effects == ["created", "unchanged", "unchanged", "unchanged"]
    with clinic_scope(member.clinic_id):
        assert Order.objects.count() == Study.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "part", "side"),
    [
        ("XR WRIST 2V LT", "wrist", "left"),
        ("Röntgen Sprunggelenk rechts", "ankle", "right"),
        ("Lower leg AP/LAT", "lower_leg", None),
        ("Both hands", "hand", "both"),
        ("Thorax p.a.", None, None),
        ("Hand left and right", "hand", "both"),
        ("Ship", None, None),
    ],
)
def test_words_of_a_procedure(text, part, side):
    assert (body_part_of(text), side_of(text)) == (part, side)
