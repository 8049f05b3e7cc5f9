"""Migrating a site that is in use: no long queue behind a lock, and another try."""

import threading

import pytest
from django.core.management.base import CommandError
from django.db import connection, connections, transaction

from accounts.management.commands import db_migrate

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(db_migrate, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(db_migrate, "LOCK_PAUSE_S", 0.05)
    monkeypatch.setattr(db_migrate, "LOCK_ATTEMPTS", 3)


@pytest.fixture
def reader():
    """Keep the busiest table in use, as a long report does; call it to let go."""
    reading, done = threading.Event(), threading.Event()

    def read() -> None:
        connection.set_autocommit(False)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM diagnosis_study")
        reading.set()
        done.wait(30)
        connection.rollback()
        connection.close()

    thread = threading.Thread(target=read)
    thread.start()
    reading.wait(30)

    def let_go() -> None:
        done.set()
        thread.join()

    yield let_go
    let_go()
    connections["owner"].close()  # its lock_timeout is the session's


def alter(tries: list[int], let_go=None):
    def migrate(*_args, **_kwargs) -> None:
        tries.append(1)
        if let_go and len(tries) == 2:
            let_go()
        with connections["owner"].cursor() as cursor:
            cursor.execute("LOCK TABLE diagnosis_study IN ACCESS EXCLUSIVE MODE")

    return migrate


def test_a_table_in_use_is_waited_for_in_short_attempts(quick, reader, monkeypatch):
    tries: list[int] = []
    migrate = alter(tries, reader)
    monkeypatch.setattr(db_migrate, "call_command", lambda *a, **k: _in_transaction(migrate))
    db_migrate.Command()._migrate(0)
    assert len(tries) == 2


def test_one_that_is_never_free_is_told(quick, reader, monkeypatch):
    migrate = alter([])
    monkeypatch.setattr(db_migrate, "call_command", lambda *a, **k: _in_transaction(migrate))
    with pytest.raises(CommandError, match="in use"):
        db_migrate.Command()._migrate(0)


def _in_transaction(migrate) -> None:
    with transaction.atomic(using="owner"):
        migrate()
