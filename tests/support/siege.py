"""Hostile peers of the DICOM listener, from addresses of their own, and a good one among them."""

import logging
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from pynetdicom import AE
from pynetdicom.sop_class import Verification

MIB: Final = 2**20
_BLOCK: Final = b"\x00" * 65536
Attack = Callable[[int, int, threading.Event], None]


def associate(title: str) -> bytes:
    """Return a valid A-ASSOCIATE-RQ."""
    from pynetdicom.acse import APPLICATION_CONTEXT_NAME
    from pynetdicom.pdu import A_ASSOCIATE_RQ
    from pynetdicom.pdu_primitives import (
        A_ASSOCIATE,
        ImplementationClassUIDNotification,
        MaximumLengthNotification,
    )
    from pynetdicom.presentation import build_context

    request = A_ASSOCIATE()
    request.application_context_name = APPLICATION_CONTEXT_NAME
    request.calling_ae_title, request.called_ae_title = title, "FRACTURE_SITE"
    size, made_by = MaximumLengthNotification(), ImplementationClassUIDNotification()
    size.maximum_length_received = 16384
    made_by.implementation_class_uid = "1.2.826.0.1.3680043.8.498.1"
    request.user_information = [size, made_by]
    context = build_context(Verification)
    context.context_id = 1
    request.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    return bytes(pdu.encode())


def connected(port: int, number: int) -> socket.socket:
    """Connect from one of 200 loopback addresses, none of which is the good peer's."""
    peer = socket.socket()
    peer.settimeout(5)
    peer.bind((f"127.0.{1 + number % 200}.1", 0))
    peer.connect(("127.0.0.1", port))
    return peer


def gigabyte(port: int, number: int, ended: threading.Event) -> None:
    """Promise a PDU of 1 GiB and send as much of it as is taken."""
    with connected(port, number) as peer, suppress(OSError):
        peer.sendall(b"\x01\x00" + struct.pack(">L", 2**30))
        while not ended.is_set():
            peer.sendall(_BLOCK)


def half_open(port: int, number: int, ended: threading.Event) -> None:
    """Connect, perhaps begin a header, and then say nothing for as long as it lasts."""
    with connected(port, number) as peer, suppress(OSError):
        peer.sendall(random.choice((b"", b"\x01", b"\x01\x00\x00")))  # noqa: S311
        while not ended.is_set() and peer.recv(4096):
            pass


def stranger(port: int, number: int, ended: threading.Event) -> None:
    """Ask for an association under a title that nobody has, again and again."""
    while not ended.is_set():
        with connected(port, number) as peer, suppress(OSError):
            peer.sendall(associate(f"STRANGER{number}"))
            peer.recv(4096)
        ended.wait(0.2)


def slow_loris(port: int, number: int, ended: threading.Event) -> None:
    """Send a valid request a byte at a time."""
    with connected(port, number) as peer, suppress(OSError):
        for byte in associate("GOOD"):
            if ended.wait(1.0):
                return
            peer.sendall(bytes([byte]))


@contextmanager
def besieged(attack: Attack, port: int, count: int) -> Iterator[None]:
    """Let so many attackers go on while the block runs; one that is hung up on comes again."""
    ended = threading.Event()

    def again(number: int) -> None:
        while not ended.is_set():
            with suppress(OSError):
                attack(port, number, ended)
            ended.wait(0.5)

    threads = [threading.Thread(target=again, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(8)


def good_echoes(port: int, count: int, title: str = "GOOD") -> list[float]:
    """Return how long a known device needed for an association and an echo, each time.

    Raises:
        AssertionError: it did not get in.
    """
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    took = []
    for _ in range(count):
        entity = AE(ae_title=title)
        entity.add_requested_context(Verification)
        began = time.monotonic()
        association = entity.associate("127.0.0.1", port, ae_title="FRACTURE_SITE")
        assert association.is_established, "a known device did not get in"
        assert association.send_c_echo().Status == 0
        took.append(time.monotonic() - began)
        association.release()
    return took


def p95(took: list[float]) -> float:
    """Return the 95th percentile."""
    return sorted(took)[max(0, round(len(took) * 0.95) - 1)]
