"""The short run of ``make sign-races``."""

import pytest

from tests.chaos.signing import race


@pytest.mark.django_db(transaction=True)
def test_of_twenty_signatures_at_once_one_stands_and_stays(capsys):
    assert race(rounds=3, at_once=20) == 0, capsys.readouterr().out
