"""The listener as a process of its own, and peers of all kinds in another one."""

import contextlib
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import time

import pytest
import trustme

from accounts.tenancy import clinic_scope
from diagnosis.interop.mllp import END, START
from diagnosis.models import Hl7Message, Order
from fracture_site import processes
from tests.factories import Hl7SenderFactory
from tests.interop.hl7_messages import answered, order
from tests.support.database import ROOT, database_url

pytestmark = pytest.mark.django_db(transaction=True)

# A peer that knows nothing of this project: the library's own client in a process of its own.
PEER = """
import asyncio, sys
from hl7.mllp import open_hl7_connection

async def main():
    reader, writer = await open_hl7_connection(
        "127.0.0.1", int(sys.argv[1]), encoding="utf-8", limit=2**20
    )
    for line in sys.stdin.buffer.read().split(b"\\x1c\\r"):
        if line:
            writer.writeblock(line)
            await writer.drain()
            ack = await reader.readmessage()
            print(ack.segment("MSA")[1], ack.segment("MSA")[2], ack.segment("MSA")[3])
    writer.close()

asyncio.run(main())
"""


class Listener:
    """A listener on a free port, stopped at the end."""

    def __init__(self, log, **env: str) -> None:
        self.log = log
        environment = os.environ | {
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "fracture_site.settings.test",
            "HL7_PORT": "0",
            **env,
        }
        environment.pop("DATABASE_OWNER_URL", None)
        with log.open("ab") as output:
            self.process = processes.spawn_tied(
                [sys.executable, "manage.py", "hl7_listener"],
                cwd=ROOT, output=output, env=environment,
            )  # fmt: skip
        ready = processes.wait_until(
            lambda: "ready on" in log.read_text() or self.process.poll() is not None,
            timeout_s=60,
            interval_s=0.1,
        )
        assert ready, log.read_text()
        assert self.process.poll() is None, log.read_text()
        line = next(line for line in log.read_text().splitlines() if "ready on" in line)
        self.port = int(line.rsplit(":", 1)[1])

    @contextlib.contextmanager
    def connection(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as peer:
            yield peer

    def exchange(self, data: bytes) -> tuple[str, str]:
        with self.connection() as peer:
            peer.sendall(START + data + END)
            return answered(received(peer))


def received(peer) -> bytes:
    data = b""
    while not data.endswith(END):
        part = peer.recv(4096)
        if not part:
            break
        data += part
    return data.removeprefix(START).removesuffix(END)


@pytest.fixture
def listen(tmp_path):
    started = []

    def start(**env: str) -> Listener:
        started.append(Listener(tmp_path / f"hl7-{len(started)}.log", **env))
        return started[-1]

    yield start
    for listener in started:
        processes.stop(listener.process, grace_s=15)


def count(clinic_id, model=Order) -> int:
    with clinic_scope(clinic_id):
        return model.objects.count()


def test_a_foreign_client_places_orders_and_each_is_committed_when_answered(listen):
    sender = Hl7SenderFactory()
    messages = [order(control=f"M{n}", placer=f"P{n}", accession=f"A{n}") for n in range(20)]
    messages += messages[:3]
    done = subprocess.run(
        [sys.executable, "-c", PEER, str(listen().port)],
        input=b"".join(message + END for message in messages),
        capture_output=True,
        timeout=60,
        check=False,
    )

    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, done.stderr.decode()
    assert lines[:20] == [f"AA M{n} created" for n in range(20)]
    assert lines[20:] == [f"AA M{n} repeated" for n in range(3)]
    assert count(sender.clinic_id) == 20


def test_frames_that_are_split_or_come_together_with_noise_between_them(listen):
    sender = Hl7SenderFactory()
    listener = listen(HL7_MAX_BYTES="4096")
    with listener.connection() as peer:
        for byte in START + order(control="M1") + END:
            peer.send(bytes([byte]))
        assert answered(received(peer)) == ("AA", "created")
        two = [order(control=f"M{n}", placer=f"P{n}", accession="") for n in (2, 3)]
        peer.sendall(b"\r\n".join(START + data + END for data in two))
        acks = received(peer)
        while acks.count(b"MSA|") < 2:
            acks += received(peer)
        assert b"|M2|created" in acks
        assert b"|M3|created" in acks

    too_large = order(control="M4", question="x" * 5000)
    assert listener.exchange(too_large) == ("AR", "too_large")
    assert listener.exchange(order(control="M5") + START + order()) == ("AR", "malformed")
    with listener.connection() as peer:  # no HL7 at all
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert peer.recv(100) == b""
    with listener.connection() as peer:  # goes away in the middle
        peer.sendall(START + order(control="M6")[:100])
    assert listener.exchange(order(control="M7")) == ("AA", "unchanged")
    assert count(sender.clinic_id) == 3


def test_while_the_database_is_away_nothing_is_taken_and_the_sender_is_told(listen):
    Hl7SenderFactory()
    listener = listen(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    started = time.monotonic()
    assert listener.exchange(order(control="M1")) == ("AE", "unavailable")
    assert time.monotonic() - started < 15
    assert "Müller" not in listener.log.read_text()


def test_a_stop_lets_a_message_end_and_frees_the_port(listen):
    sender = Hl7SenderFactory()
    listener = listen()
    with listener.connection() as idle:
        assert listener.exchange(order()) == ("AA", "created")
        processes.stop(listener.process, grace_s=15)
        assert listener.process.returncode == 0
        assert idle.recv(10) == b""
    assert count(sender.clinic_id, Hl7Message) == 1


def test_with_tls_a_sender_is_its_certificate(listen, tmp_path):
    authority, stranger = trustme.CA(), trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    files = {"HL7_TLS_CERTIFICATE": "server.pem", "HL7_TLS_KEY": "server.key"}
    server.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    server.private_key_pem.write_to_path(tmp_path / "server.key")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    env = {name: str(tmp_path / file) for name, file in files.items()}
    listener = listen(**env, HL7_TLS_CLIENT_AUTHORITY=str(tmp_path / "ca.pem"))

    def exchange(issuer) -> tuple[str, str]:
        client = issuer.issue_cert("ris.hospital.example")
        context = ssl.create_default_context()
        authority.configure_trust(context)
        client.configure_cert(context)
        der = ssl.PEM_cert_to_DER_cert(client.cert_chain_pems[0].bytes().decode())
        facility = "TRUSTED" if issuer is authority else "STRANGER"
        digest = hashlib.sha256(der).hexdigest()
        Hl7SenderFactory(networks=[], certificate_sha256=digest, sending_facility=facility)
        with (
            listener.connection() as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as peer,
        ):
            peer.sendall(START + order(facility=facility, accession="") + END)
            return answered(received(peer))

    assert exchange(authority) == ("AA", "created")
    with pytest.raises((OSError, KeyError)):  # the handshake, or the first read after it
        exchange(stranger)
    with listener.connection() as plain:
        plain.sendall(START + order() + END)
        assert b"MSA" not in plain.recv(4096)
