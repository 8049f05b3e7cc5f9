"""A short siege of the listener; `make listener-siege` is the long one, with 500 connections."""

import pytest

from accounts.models import Role
from tests.factories import DeviceFactory, MembershipFactory
from tests.support.listener import Listener
from tests.support.siege import (
    MIB,
    besieged,
    gigabyte,
    good_echoes,
    half_open,
    slow_loris,
    stranger,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_known_device_gets_in_whoever_else_is_at_the_door(transactional_db):
    member = MembershipFactory(roles=[Role.TECHNICIAN])
    DeviceFactory(membership=member, ae_title="GOOD", address="127.0.0.1")
    listener = Listener().start()
    try:
        good_echoes(listener.port, 1)
        before = listener.memory_bytes
        with (
            besieged(half_open, listener.port, 120),
            besieged(slow_loris, listener.port, 20),
            besieged(gigabyte, listener.port, 2),
            besieged(stranger, listener.port, 4),
        ):
            good_echoes(listener.port, 8)  # raises when one is turned away
            assert listener.memory_bytes - before < 60 * MIB
            assert listener.memory_bytes < 300 * MIB
    finally:
        listener.stop()
