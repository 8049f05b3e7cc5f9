"""Deliveries by HL7 and webhook, to a real listener in another process and a real web server."""

import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import threading
from base64 import b64decode
from collections import deque
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import hl7
import pytest
from django.utils import timezone

from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.models import Content, Delivery, Destination, Event
from diagnosis.services.delivery_runs import delivery_run
from diagnosis.services.delivery_senders import sender_test
from diagnosis.services.model_recalls import model_recall
from diagnosis.services.reports import report_sign
from diagnosis.services.webhook_sending import webhook_signature
from diagnosis.storage import object_put
from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError
from fracture_site.common.sealing import seal
from fracture_site.processes import wait_until
from tests.diagnosis.api.conftest import world_of
from tests.factories import (
    ClinicFactory,
    DeliveryFactory,
    DestinationFactory,
    MembershipFactory,
    OrderFactory,
    ReportVersionFactory,
)
from tests.support.database import ROOT

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.7 signed"

# A receiving system of the library's own making: prints what it gets, answers as told.
RECEIVER = """
import asyncio, sys
from hl7.mllp import start_hl7_server

async def connected(reader, writer):
    try:
        while True:
            message = await reader.readmessage()
            sys.stdout.write(str(message).replace("\\r", "\\x1e") + "\\n")
            sys.stdout.flush()
            if sys.argv[1] == "silent":
                writer.close()
                return
            ack = message.create_ack(sys.argv[1])
            if len(sys.argv) > 2:
                ack.assign_field("OTHER", "MSA", 1, 2)
            writer.writemessage(ack)
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()

async def main():
    server = await start_hl7_server(
        connected, "127.0.0.1", 0, encoding="utf-8", limit=2**20
    )
    sys.stdout.write(str(server.sockets[0].getsockname()[1]) + "\\n")
    sys.stdout.flush()
    await server.serve_forever()

asyncio.run(main())
"""


class Receiver:
    def __init__(self, *answer: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RECEIVER, *answer],
            stdout=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        self.port = int(self.process.stdout.readline())

    def message(self) -> hl7.Message:
        return hl7.parse(self.process.stdout.readline().rstrip("\n").replace("\x1e", "\r"))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def receive():
    started = []

    def start(*answer: str) -> Receiver:
        started.append(Receiver(*answer))
        return started[-1]

    yield start
    for receiver in started:
        receiver.stop()


@pytest.fixture
def world():
    clinic = ClinicFactory()
    author = MembershipFactory(clinic=clinic).user
    rows = world_of(clinic, author)
    rows.order = OrderFactory(study=rows.study, placer_number="P-1", procedure_code="XRW")
    rows.author = author
    return rows


def signed(world, number: int = 2, **values):
    return ReportVersionFactory(
        report=world.report, number=number, reason="Wrong side", status="signed",
        findings="Fracture of the radius.", signed_by=world.author, signed_at=timezone.now(),
        signer_name="Dr. Example", content_sha256="ef" * 32, pdf_sha256="ab" * 32,
        pdf_key=object_put(data=PDF, kind="reports", content_type="application/pdf"),
        author=world.author, result={"verdict": "definite", "probability": 0.9,
        "model": {"name": "m", "version": "1", "sha256": "x"}}, **values,
    )  # fmt: skip


def mllp_to(world, port: int, **values) -> Destination:
    return DestinationFactory(
        clinic=world.clinic, kind="hl7_mllp", host="127.0.0.1", port=port,
        contents=[Content.PDF], options={"receiving_application": "EMR"}, **values,
    )  # fmt: skip


def run(world, destination, event, subject) -> Delivery:
    """Promise one delivery and carry it out, as a courier does."""
    with clinic_scope(world.clinic.pk):
        study = type(world.study).objects.get(pk=world.study.pk)
    row = DeliveryFactory(study=study, destination=destination, event=event, subject=str(subject))
    claim = jobs.job_claim_next(Delivery)
    assert claim.job_id == row.pk
    delivery_run(claim=claim)
    with clinic_scope(world.clinic.pk):
        return Delivery.objects.get(pk=row.pk)


def test_a_signed_report_arrives_at_a_listener_of_another_maker(world, receive):
    receiver = receive("AA")
    version = signed(world)
    done = run(world, mllp_to(world, receiver.port), Event.REPORT_SIGNED, version.pk)

    message = receiver.message()
    assert done.status == "succeeded"
    assert done.sent == [{"content": "hl7", "control_id": done.pk.hex[:20].upper()}]
    assert str(message["MSH.F10"]) == done.sent[0]["control_id"]
    assert str(message["MSH.F5"]) == "EMR"
    assert str(message["PID.F3.R1.C1"]) == world.patient.record_number
    assert str(message["OBR.F2"]) == "P-1"
    assert str(message["OBR.F25"]) == "C"  # version 2
    assert "Fracture of the radius." in str(message)
    assert "JVBERi0xLjcgc2lnbmVk" in str(message)  # the PDF


def test_a_preliminary_result_is_sent_without_a_report(world, receive):
    receiver = receive("AA")
    run(world, mllp_to(world, receiver.port), Event.RESULT_READY, "digest")
    message = receiver.message()
    assert str(message["OBR.F25"]) == "P"
    assert "JVBERi0" not in str(message)


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (["AE"], PeerRefusedError, "hl7_refused"),
        (["AR"], PeerRefusedError, "hl7_refused"),
        (["AA", "other"], PeerRefusedError, "hl7_answer_unexpected"),
        (["silent"], PeerUnavailableError, "answer_broken_off"),
    ],
)
def test_only_a_positive_answer_to_this_message_counts(world, receive, answer, error, code):
    receiver = receive(*answer)
    with pytest.raises(error, match=code):
        run(world, mllp_to(world, receiver.port), Event.RESULT_READY, "digest")


def test_nobody_there_and_what_is_not_told_in_hl7(world, receive):
    receiver = receive("AA")
    destination = mllp_to(world, receiver.port)
    sender_test(destination)
    with pytest.raises(PeerRefusedError, match="event_not_sent"):
        run(world, destination, Event.MODEL_RECALLED, "x")
    receiver.stop()
    with pytest.raises(PeerUnavailableError, match="peer_unreachable"):
        sender_test(destination)


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.answers.popleft() if self.server.answers else 204)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args) -> None:
        pass


@pytest.fixture
def hook():
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    server.got, server.answers = [], deque()
    server.url = f"http://127.0.0.1:{server.server_port}/hook?x=1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def webhook_to(world, hook, keys: str = "new-key old-key") -> Destination:
    return DestinationFactory(
        clinic=world.clinic, kind="webhook", url=hook.url, contents=[],
        secrets=seal({"signing_key": keys}) if keys else b"",
    )  # fmt: skip


def verified(headers: dict, body: bytes, key: str) -> bool:
    """Check a signature as the documentation tells a receiver to."""
    wanted = hmac.new(
        key.encode(), headers["Fracture-Timestamp"].encode() + b"." + body, hashlib.sha256
    ).hexdigest()
    given = [part.removeprefix("v1=") for part in headers["Fracture-Signature"].split(",")]
    return any(hmac.compare_digest(wanted, each) for each in given)


def test_a_webhook_tells_ids_only_and_is_signed_with_every_key_in_force(world, hook):
    version = signed(world)
    done = run(world, webhook_to(world, hook), Event.REPORT_SIGNED, version.pk)

    [(headers, body)] = hook.got
    assert json.loads(body) == {
        "id": str(done.pk),
        "type": "report.amended",
        "created_at": done.created_at.isoformat(),
        "clinic": str(world.clinic.pk),
        "study": str(world.study.pk),
        "report": str(world.report.pk),
        "version": 2,
    }
    assert verified(headers, body, "new-key")
    assert verified(headers, body, "old-key")
    assert not verified(headers, body, "third-key")
    assert not verified(headers, body + b" ", "new-key")
    for secret in (world.patient.family_name, world.patient.record_number, "Fracture of"):
        assert secret not in body.decode()


def test_what_webhooks_are_called(world, hook):
    destination = webhook_to(world, hook)
    with clinic_scope(world.clinic.pk):
        world.report.versions.all().delete()
    first = signed(world, number=1)
    model = world.analysis.model_version.pk
    run(world, destination, Event.REPORT_SIGNED, first.pk)
    run(world, destination, Event.RESULT_READY, "digest")
    run(world, destination, Event.MODEL_RECALLED, model.hex + world.study.pk.hex)
    told = [json.loads(body) for _, body in hook.got]
    assert [each["type"] for each in told] == ["report.signed", "study.ready", "model.recalled"]
    assert told[2]["model"] == str(model)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (302, PeerRefusedError, "webhook_refused"),
        (410, PeerRefusedError, "webhook_refused"),
        (500, PeerUnavailableError, "peer_busy"),
        (429, PeerUnavailableError, "peer_busy"),
    ],
)
def test_answers_of_a_webhook(world, hook, status, error, code):
    hook.answers.append(status)
    with pytest.raises(error, match=code):
        run(world, webhook_to(world, hook), Event.RESULT_READY, "digest")
    assert len(hook.got) == 1  # a redirect is not followed


def test_a_webhook_without_a_key_is_not_sent_and_a_ping_is_signed(world, hook):
    with pytest.raises(PeerRefusedError, match="signing_key_missing"):
        run(world, webhook_to(world, hook, keys=""), Event.RESULT_READY, "digest")
    assert hook.got == []
    sender_test(webhook_to(world, hook))
    [(headers, body)] = hook.got
    assert json.loads(body)["type"] == "ping"
    assert verified(headers, body, "new-key")


def test_the_signature_covers_time_and_body():
    one = webhook_signature(b"{}", timestamp=1, keys=["k"])
    assert one != webhook_signature(b"{}", timestamp=2, keys=["k"])
    assert one != webhook_signature(b"{} ", timestamp=1, keys=["k"])
    assert webhook_signature(b"{}", timestamp=1, keys=["a", "k"]).endswith("," + one)


def test_the_receiver_of_the_documentation_tells_genuine_messages_apart(world, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    receiver = subprocess.Popen(
        [sys.executable, "docs/examples/webhook_receiver.py", str(port)],
        cwd=ROOT, env=os.environ | {"WEBHOOK_KEY": "new-key"}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    hook = SimpleNamespace(url=f"http://127.0.0.1:{port}/")
    try:
        ready = webhook_to(world, hook)
        assert wait_until(lambda: answers(ready), timeout_s=20, interval_s=0.2)
        assert json.loads(receiver.stdout.readline())["type"] == "ping"
        with pytest.raises(PeerRefusedError, match="webhook_refused"):
            sender_test(webhook_to(world, hook, keys="wrong-key"))
    finally:
        receiver.kill()
        receiver.wait()
        receiver.stdout.close()


def answers(destination) -> bool:
    try:
        sender_test(destination)
    except PeerUnavailableError:
        return False
    return True


def test_a_recall_is_promised_for_each_study_that_the_version_has_read(world, hook):
    destination = webhook_to(world, hook)
    with clinic_scope(world.clinic.pk):
        Destination.objects.filter(pk=destination.pk).update(events=[Event.MODEL_RECALLED])
    other = world_of(ClinicFactory(), world.author)
    model_recall(actor=None, version=world.analysis.model_version, reason="Wrong on wrists")
    with clinic_scope(world.clinic.pk):
        [promised] = Delivery.objects.filter(event=Event.MODEL_RECALLED)
    assert promised.study_id == world.study.pk
    with clinic_scope(other.clinic.pk):
        assert not Delivery.objects.filter(event=Event.MODEL_RECALLED).exists()


def test_a_signature_reaches_software_and_hospital_alike(world, hook, receive):
    receiver = receive("AA")
    webhook_to(world, hook)
    mllp_to(world, receiver.port)
    with clinic_scope(world.clinic.pk):
        Delivery.objects.all().delete()
        Destination.objects.filter(kind="dicom_cstore").update(is_enabled=False)
        report_sign(actor=world.author, report=world.report)
    while claim := jobs.job_claim_next(Delivery):
        delivery_run(claim=claim)

    [(_headers, body)] = hook.got
    assert json.loads(body)["type"] == "report.signed"
    message = receiver.message()
    assert str(message["OBR.F25"]) == "F"
    [document] = [row for row in message["OBX"] if str(row[2]) == "ED"]
    assert b64decode(str(document[5]).split("^")[4]).startswith(b"%PDF-")
    with clinic_scope(world.clinic.pk):
        assert list(Delivery.objects.values_list("status", flat=True)) == ["succeeded"] * 2
