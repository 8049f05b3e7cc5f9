"""Somebody listens inside: nothing that a clinic can type makes the site call there."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from diagnosis.documents.contracts import ReportText
from diagnosis.documents.renderer import render_report
from diagnosis.transport import dicom_scu, dicom_web, dicom_web_query
from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError
from diagnosis.transport.http import http_request
from diagnosis.transport.mllp import MllpPeer, mllp_test
from tests.diagnosis.documents import samples

REFUSED = (PeerRefusedError, PeerUnavailableError)
# Spellings of this machine, not addresses to listen at.
LOOPBACK = ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0",
            "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::]", "127.0.0.1.", "LOCALHOST",  # noqa: S104
            "user@127.0.0.1", "8.8.8.8@127.0.0.1"]  # fmt: skip


class Listener:
    """Counts who comes, and says what it was told to say."""

    def __init__(self, address: str, port: int = 0, answer: bytes = b"") -> None:
        self.visits = 0
        self._answer = answer
        self._socket = socket.create_server((address, port))
        self._socket.settimeout(0.1)
        self.port = self._socket.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                visitor, _from = self._socket.accept()
            except TimeoutError:
                continue
            self.visits += 1
            with visitor:
                if self._answer:
                    visitor.recv(65536)
                    visitor.sendall(self._answer)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def canary() -> Iterator[Listener]:
    listener = Listener("127.0.0.1")
    yield listener
    listener.close()


@pytest.fixture(autouse=True)
def _nothing_private(settings):
    settings.DELIVERY_PRIVATE_NETWORKS = []
    settings.DELIVERY_TIMEOUT_S = 5


@pytest.mark.parametrize("host", LOOPBACK)
def test_no_spelling_of_this_machine_is_called(host, canary):
    url = f"http://{host}:{canary.port}/"
    plain = host.strip("[]").rpartition("@")[2]
    calls = [
        lambda: http_request("POST", url, body=b"{}"),
        lambda: dicom_web.echo(url, {}),
        lambda: dicom_web_query.WebArchive(url, {}).studies(patient_id="1"),
        lambda: dicom_scu.echo(dicom_scu.Node(plain, canary.port, "A", "B")),
        lambda: mllp_test(MllpPeer(plain, canary.port)),
    ]
    for call in calls:
        with pytest.raises(REFUSED):
            call()
    assert canary.visits == 0


def test_the_listener_does_count(canary, settings):
    settings.DELIVERY_PRIVATE_NETWORKS = ["127.0.0.0/8"]
    with pytest.raises(REFUSED):
        http_request("GET", f"http://127.0.0.1:{canary.port}/")
    assert canary.visits == 1


def test_the_machines_that_hand_out_keys_are_refused_without_a_try():
    for host in ("169.254.169.254", "[fd00:ec2::254]", "100.100.100.200"):
        with pytest.raises(PeerRefusedError, match="address_not_allowed"):
            http_request("GET", f"http://{host}/latest/meta-data/")


def test_redirects_are_not_followed(canary, settings):
    settings.DELIVERY_PRIVATE_NETWORKS = ["127.0.0.2/32"]
    for status in (301, 302, 303, 307, 308):
        words = f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:{canary.port}/\r\n"
        peer = Listener("127.0.0.2", answer=f"{words}Content-Length: 0\r\n\r\n".encode())
        try:
            assert http_request("GET", f"http://127.0.0.2:{peer.port}/").status == status
        finally:
            peer.close()
    assert canary.visits == 0


def test_a_name_that_changes_its_mind_is_asked_once(canary, settings, monkeypatch):
    """First it names a peer that is allowed, then this machine."""
    settings.DELIVERY_PRIVATE_NETWORKS = ["127.0.0.2/32"]
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    peer = Listener("127.0.0.2", canary.port, answer)
    asked, real = [], socket.getaddrinfo

    def two_faced(host, *args, **options):
        if host != "rebind.example":
            return real(host, *args, **options)
        asked.append(host)
        return real("127.0.0.2" if len(asked) == 1 else "127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", two_faced)
    try:
        url = f"http://rebind.example:{canary.port}/"
        assert http_request("GET", url).status == 200
        with pytest.raises(PeerRefusedError):
            http_request("GET", url)
    finally:
        peer.close()
    assert (peer.visits, canary.visits) == (1, 0)


def test_a_report_fetches_nothing(canary):
    there = f"http://127.0.0.1:{canary.port}/x.png"
    text = f'#image("{there}") <img src="{there}"> ![]({there}) #link("{there}") {there}'
    document = replace(samples.document(), text=ReportText(text, text, text, text, text))
    assert render_report(document).startswith(b"%PDF")
    assert canary.visits == 0
