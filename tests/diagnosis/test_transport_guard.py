"""Where the site connects to on a clinic's behalf."""

import socket

import pytest

from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError
from diagnosis.transport.guard import allowed_address, is_allowed


@pytest.fixture(autouse=True)
def _no_private_networks(settings):
    settings.DELIVERY_PRIVATE_NETWORKS = []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "169.254.169.254", "::1",
     "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "224.0.0.1", "100.64.0.1", "::", "0.1.2.3",
     "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::7f00:1", "64:ff9b:1::1"],
)  # fmt: skip
def test_private_addresses_are_refused(address):
    assert not is_allowed(address)
    with pytest.raises(PeerRefusedError, match="address_not_allowed"):
        allowed_address(address.partition("%")[0], 104)


def test_public_addresses_are_allowed():
    assert allowed_address("8.8.8.8", 443) == "8.8.8.8"


def test_the_operator_allows_networks(settings):
    settings.DELIVERY_PRIVATE_NETWORKS = ["10.0.0.0/8", "fd00::/8"]
    assert is_allowed("10.200.0.1")
    assert is_allowed("::ffff:10.200.0.1")
    assert is_allowed("fd00::7")
    assert not is_allowed("192.168.0.1")


def test_one_forbidden_address_among_several_is_enough(monkeypatch):
    found = [(2, 1, 6, "", (ip, 443)) for ip in ("8.8.8.8", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: found)
    with pytest.raises(PeerRefusedError):
        allowed_address("two-faced.example", 443)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 300, "", "\udcff"])
def test_unknown_names_may_be_known_later(host):
    with pytest.raises((PeerUnavailableError, PeerRefusedError)):
        allowed_address(host, 443)
