"""What HL7 messages do to a clinic's rows: once, whole, for the right patient, or not at all."""

import pytest
from django.db import connection

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis.interop.mllp import Peer
from diagnosis.models import Hl7Message, Order, Patient, Study
from diagnosis.selectors.hl7 import hl7_senders_matching
from diagnosis.services.hl7_inbox import hl7_receive
from diagnosis.services.hl7_senders import hl7_sender_create, hl7_sender_stop
from fracture_site.common.errors import ConflictError, RefusedInputError
from tests.factories import (
    ClinicFactory,
    Hl7SenderFactory,
    MembershipFactory,
    PatientFactory,
    StudyImageFactory,
    UserFactory,
)
from tests.interop.hl7_messages import answered, correction, merge, order

pytestmark = pytest.mark.django_db
HERE = Peer("127.0.0.1")


@pytest.fixture
def sender(db):
    return Hl7SenderFactory()


@pytest.fixture
def rows(sender):
    """Read the clinic's rows."""

    def read(model, **filters):
        with clinic_scope(sender.clinic_id):
            return list(model.objects.filter(**filters).order_by("created_at"))

    return read


def send(data: bytes, peer: Peer = HERE) -> tuple[str, str]:
    return answered(hl7_receive(data=data, peer=peer))


def test_an_order_registers_patient_study_and_order(sender, rows):
    assert send(order()) == ("AA", "created")

    [patient], [study], [placed] = rows(Patient), rows(Study), rows(Order)
    assert (patient.record_number, patient.full_name) == ("MRN-1", "Müller, Ada")
    assert (study.patient_id, study.accession_number, study.side) == (patient.pk, "A-1", "left")
    assert (placed.source, placed.study_id) == ("hl7:RIS|HOSPITAL", study.pk)
    with clinic_scope(sender.clinic_id):
        event = AuditEvent.objects.get(action="order.create")
        assert event.actor_id == sender.membership.user_id
        assert "Müller" not in str(event.details)
        message = Hl7Message.objects.get()
    assert (message.control_id, message.message_type, message.outcome) == ("MSG-1", "ORM^O01", "AA")


def test_a_repetition_is_answered_and_done_once(rows):
    send(order())
    assert send(order()) == ("AA", "repeated")
    assert len(rows(Order)) == len(rows(Hl7Message)) == 1


def test_a_control_id_that_is_used_again_loses_no_message(rows):
    send(order())
    assert send(order(placer="P-2", accession="A-2")) == ("AA", "created")
    assert len(rows(Order)) == len(rows(Hl7Message)) == 2


def test_the_same_order_in_a_new_message_is_one_order(rows):
    send(order())
    assert send(order(control="MSG-2")) == ("AA", "unchanged")
    changed = order(control="MSG-3", order_control="XO", written="20261120120100", question="Old?")
    assert send(changed) == ("AA", "updated")
    assert len(rows(Order)) == 1
    assert rows(Study)[0].clinical_question == "Old?"


def test_a_change_that_comes_before_its_order(rows):
    change = order(order_control="XO", written="20261120130000+0000", question="Newer")
    assert send(change) == ("AA", "created")
    assert send(order(control="MSG-2")) == ("AA", "superseded")
    assert rows(Study)[0].clinical_question == "Newer"


def test_a_cancellation_before_and_after_images(rows):
    cancel = {"order_control": "CA", "written": "20261120130000+0000"}
    assert send(order(**cancel)) == ("AE", "order_unknown")
    send(order(control="MSG-2"))
    assert send(order(control="MSG-3", **cancel)) == ("AA", "updated")
    assert rows(Order)[0].status == "cancelled"

    send(order(control="MSG-4", placer="P-2", accession="A-2"))
    StudyImageFactory(study=rows(Study)[1])
    cancelled = order(control="MSG-5", placer="P-2", accession="A-2", **cancel)
    assert send(cancelled) == ("AE", "order_has_images")


def test_a_refused_message_may_be_sent_again_when_its_reason_is_gone(rows):
    assert send(correction()) == ("AE", "patient_unknown")
    send(order(control="MSG-2"))
    assert send(correction(family="Miller")) == ("AA", "updated")
    assert send(correction()) == ("AA", "updated")  # the very bytes that were refused
    refused = [row for row in rows(Hl7Message) if row.outcome != "AA"]
    assert refused == []


def test_corrections_of_a_patient(rows):
    send(correction(kind="ADT^A04"))
    send(correction(control="2", family="Miller", born="19800502", sex="O"))
    [patient] = rows(Patient)
    assert (patient.family_name, str(patient.birth_date)) == ("Miller", "1980-05-02")
    assert patient.sex == "other"
    assert send(correction(control="3", kind="ADT^A31", given='""')) == ("AA", "updated")
    assert rows(Patient)[0].given_name == ""
    silent = correction(control="4", given="", family="", born="", sex="")
    assert send(silent) == ("AA", "unchanged")


def test_what_an_older_message_says_of_a_person_changes_nothing_but_its_merge_is_done(rows):
    early, late = "20261120110000+0000", "20261120130000+0000"
    send(correction(kind="ADT^A04", written=early))
    assert send(correction(control="2", family="Miller", written=late)) == ("AA", "updated")
    overtaken = correction(control="3", family="Mueller", written="20261120120000+0000")
    assert send(overtaken) == ("AA", "unchanged")
    assert rows(Patient)[0].family_name == "Miller"

    send(correction(control="4", kind="ADT^A04", number="MRN-2", written=early))
    assert send(merge(control="5", family="Mueller", written=early)) == ("AA", "updated")
    kept = next(row for row in rows(Patient) if row.merged_into_id is None)
    assert kept.family_name == "Miller"
    assert len([row for row in rows(Patient) if row.merged_into_id]) == 1


def test_an_order_for_somebody_else_under_the_same_number_is_refused_whole(rows):
    send(order())
    stranger = order(control="2", placer="P-2", accession="", family="Other", born="19500101")
    assert send(stranger) == ("AE", "patient_mismatch")
    assert rows(Patient)[0].family_name == "Müller"
    assert len(rows(Study)) == 1
    married = order(control="3", placer="P-3", accession="", family="Married")
    assert send(married) == ("AA", "created")


def test_a_number_that_another_patients_order_has_is_refused_whole(rows):
    send(order())
    other = order(control="2", number="MRN-9^^^HOSPITAL^MR", family="Nine", accession="A-9")
    assert send(other) == ("AE", "order_of_other_patient")
    assert [row.record_number for row in rows(Patient)] == ["MRN-1"]  # not registered either


def test_merging_and_merging_again(sender, rows):
    send(correction(kind="ADT^A04"))
    send(order(control="2", number="MRN-2^^^HOSPITAL^MR"))
    assert send(merge(control="3")) == ("AA", "updated")
    assert send(merge(control="4", kind="ADT^A34")) == ("AA", "unchanged")
    kept, merged = rows(Patient)
    assert merged.merged_into_id == kept.pk
    assert rows(Study)[0].patient_id == kept.pk
    # The old number still leads to the right person, and says nothing new about them.
    late = order(control="5", number="MRN-2^^^HOSPITAL^MR", placer="P-5", accession="", family="X")
    assert send(late) == ("AA", "created")
    assert rows(Order)[1].study_id != rows(Order)[0].study_id
    assert rows(Patient)[0].family_name == "Müller"


def test_merges_that_cannot_be(rows):
    assert send(merge()) == ("AE", "patient_unknown")
    assert rows(Patient) == []  # the survivor was not registered either
    send(correction(control="2", kind="ADT^A04"))
    assert send(merge(control="3", merged="MRN-1^^^HOSPITAL^MR")) == ("AE", "same_patient")
    send(correction(control="4", kind="ADT^A04", number="MRN-2"))
    send(correction(control="5", kind="ADT^A04", number="MRN-3"))
    send(merge(control="6"))
    assert send(merge(control="7", number="MRN-3")) == ("AE", "merged_elsewhere")


def test_a_member_without_the_right_cannot_merge_and_the_attempt_is_recorded(rows):
    sender = Hl7SenderFactory(sending_application="WARD", membership__roles=[Role.TECHNICIAN])
    for number in ("MRN-1", "MRN-2"):
        PatientFactory(clinic=sender.clinic, record_number=number)
    assert send(merge(application="WARD")) == ("AR", "not_allowed")
    with clinic_scope(sender.clinic_id):
        event = AuditEvent.objects.get(outcome="denied")
        assert (event.action, event.actor) == ("patient.merge", sender.membership.user)
        assert not Patient.objects.filter(merged_into__isnull=False).exists()


def test_a_member_who_left_sends_nothing_more(sender):
    sender.membership.is_active = False
    sender.membership.save()
    assert send(order()) == ("AR", "not_allowed")


def test_several_orders_in_one_message_are_all_done_or_none(rows):
    second = order(placer="P-2", accession="A-2").split(b"\r", 2)[2]
    assert send(order() + second) == ("AA", "created")
    assert len(rows(Order)) == 2
    bad = order(placer="", control="3").split(b"\r", 2)[2]
    data = order(control="2", placer="P-3", accession="A-3") + bad
    assert send(data) == ("AE", "order_number_missing")
    assert len(rows(Order)) == 2


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"GET / HTTP/1.1", ("AR", "malformed")),
        (b"", ("AR", "malformed")),
        (order(control=""), ("AR", "malformed")),
        (order(kind="ORU^R01"), ("AR", "message_type_unsupported")),
        (order(processing="T"), ("AR", "processing_id_unsupported")),
        (order(charset="KLINGON"), ("AR", "character_set_unknown")),
        (order(encoding="iso-8859-1"), ("AE", "characters_undecodable")),
        (order(number=""), ("AE", "patient_unidentified")),
        (order(order_control="ZZ"), ("AR", "order_control_unsupported")),
        (order(placer=""), ("AE", "order_number_missing")),
        (order(placer="P" * 65), ("AE", "too_long")),
        (order(family="M" * 101), ("AE", "too_long")),
        (order(family=""), ("AE", "family_name_missing")),
        (order(born="20990101"), ("AE", "birth_date_in_future")),
        (order(application="STRANGER"), ("AR", "sender_unknown")),
        (order(facility="ELSEWHERE"), ("AR", "sender_unknown")),
    ],
)
def test_what_cannot_be_taken_is_refused_and_leaves_nothing(sender, rows, data, answer):
    assert send(data) == answer
    assert rows(Patient) == rows(Order) == []


def test_without_a_character_set_the_senders_own_is_used(rows):
    Hl7SenderFactory(sending_application="OLD", character_set="8859/1")
    data = correction(application="OLD", kind="ADT^A04", charset="", encoding="iso-8859-1")
    assert send(data) == ("AA", "updated")


def test_a_sender_is_known_by_its_network_or_certificate_too(sender):
    assert send(order(), Peer("192.0.2.1")) == ("AR", "sender_unknown")
    with clinic_scope(sender.clinic_id):
        sender.certificate_sha256, sender.networks = "ab" * 32, []
        sender.save()
    assert send(order(), Peer("192.0.2.1")) == ("AR", "sender_unknown")
    assert send(order(), Peer("192.0.2.1", "ab" * 32)) == ("AA", "created")


def test_two_clinics_with_the_same_sender_names_are_told_apart_or_refused(sender, rows):
    other = Hl7SenderFactory(networks=["192.0.2.0/24"])
    assert send(order(), Peer("192.0.2.7")) == ("AA", "created")
    assert rows(Order) == []
    with clinic_scope(other.clinic_id):
        assert Order.objects.count() == 1
    Hl7SenderFactory(networks=["127.0.0.1/32"])
    assert send(order(control="2")) == ("AR", "sender_ambiguous")


def test_a_record_number_means_the_senders_own_clinics_patient(sender, rows):
    foreign = PatientFactory(clinic=ClinicFactory(), record_number="MRN-1", family_name="Foreign")
    assert send(correction()) == ("AE", "patient_unknown")
    send(order(control="2"))
    assert [row.pk for row in rows(Patient)] != [foreign.pk]
    with clinic_scope(foreign.clinic_id):
        foreign.refresh_from_db()
    assert foreign.family_name == "Foreign"


def test_the_lookup_tells_ids_only_and_nothing_of_stopped_senders(sender):
    found = {
        "application": "RIS", "facility": "HOSPITAL", "address": "127.0.0.1",
        "certificate_sha256": "",
    }  # fmt: skip
    assert hl7_senders_matching(**found) == [(sender.pk, sender.clinic_id)]
    admin = UserFactory(is_superuser=True, is_staff=True)
    hl7_sender_stop(actor=admin, clinic_id=sender.clinic_id, sender_id=sender.pk)
    assert hl7_senders_matching(**found) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM diagnosis_hl7sender")
        assert cursor.fetchone() == (0,)  # no clinic, no rows


def test_nothing_of_a_message_is_logged(sender, caplog):
    with caplog.at_level("DEBUG"):
        send(order(family="Canary", given="Bird", question="Canary question"))
        send(order(control="2", family="Canary", born="19500101"))
        send(b"MSH|^~\\&|Canary")
    assert "Canary" not in caplog.text
    assert "MRN-1" not in caplog.text


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"sending_application": " "}, "application_missing"),
        ({"networks": ["300.1.1.1"]}, "network_malformed"),
        ({"networks": []}, "not_recognisable"),
        ({"certificate_sha256": "xyz"}, "certificate_malformed"),
        ({"character_set": "EBCDIC"}, "character_set_unknown"),
        ({"procedures": {"X": {"body_part": "heart"}}}, "procedures_malformed"),
        ({"procedures": {"X": "wrist"}}, "procedures_malformed"),
    ],
)
def test_a_sender_that_could_not_work_is_not_made(values, code):
    admin = UserFactory(is_superuser=True, is_staff=True)
    right = {
        "membership": MembershipFactory(),
        "name": "RIS",
        "sending_application": "RIS",
        "networks": ["10.0.0.0/8"],
    }
    with pytest.raises(RefusedInputError, match=code):
        hl7_sender_create(actor=admin, **right | values)
    sender = hl7_sender_create(actor=admin, **right)
    assert sender.networks == ["10.0.0.0/8"]
    with pytest.raises(ConflictError, match="sender_exists"):
        hl7_sender_create(actor=admin, **right)
