"""Fixtures of the whole suite: the database as application role, real processes, S3, Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.support.browser import HOW_TO_GET_IT, chromium_path, launched
from tests.support.patient_marks import (  # noqa: F401 - fixtures that are always on
    _eyes_everywhere,
    no_patient_where_none_belongs,
)
from tests.support.rabbitmq import HOW_TO_GET_IT as HOW_TO_GET_RABBITMQ
from tests.support.rabbitmq import is_installed, running

NO_DATABASE = (
    "The tests need PostgreSQL and Redis. Run `make test`, or for a part of them:\n"
    "  .venv/bin/python -m fracture_site.embedded run --data var/test --throwaway -- "
    ".venv/bin/pytest tests/accounts"
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the browser tests out where there is no browser."""
    browser = [
        item
        for item in items
        if "chromium" in getattr(item, "fixturenames", ()) or item.get_closest_marker("e2e")
    ]
    for item in browser:
        item.add_marker(pytest.mark.e2e)
    if browser and chromium_path() is None:
        config.hook.pytest_deselected(items=browser)
        left_out = set(browser)
        items[:] = [item for item in items if item not in left_out]
        config.stash[LEFT_OUT] = len(browser)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the pictures that tests stored."""
    media = os.environ.get("PRIVATE_MEDIA_ROOT", "")
    if "fracture-test-media-" in media and not hasattr(config, "workerinput"):
        shutil.rmtree(media, ignore_errors=True)


LEFT_OUT = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Say in one line what was left out and how to change that."""
    if count := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"{count} browser tests: {HOW_TO_GET_IT}", yellow=True)


@pytest.fixture(scope="session")
def django_db_setup(request, django_test_environment, django_db_blocker) -> Iterator[None]:
    """Create the test database as owner; all tests then connect as the application role."""
    if not os.environ.get("DATABASE_OWNER_URL"):
        pytest.exit(NO_DATABASE, 4)
    from django.test import TransactionTestCase

    from tests.support.database import empty_all_tables, test_database

    worker = getattr(request.config, "workerinput", {}).get("workerid", "")
    with pytest.MonkeyPatch.context() as patch:
        # Django would truncate as the application role, which may not. (Tests without
        # transaction=True have a teardown of their own, a rollback, and keep it.)
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _case: empty_all_tables())
        database = test_database(worker)
        with django_db_blocker.unblock():
            database.__enter__()
        yield
        with django_db_blocker.unblock():
            database.__exit__(None, None, None)


@pytest.fixture
def real_worker(transactional_db) -> Iterator:
    """Run a real Celery worker process against the test database."""
    from tests.support.worker import RealWorker

    worker = RealWorker().start()
    yield worker
    worker.stop()
    worker.log.unlink()


@pytest.fixture
def start_worker(transactional_db) -> Iterator[Callable]:
    """Return a function that starts further workers; all are stopped at the end."""
    from tests.support.worker import RealWorker

    started: list[RealWorker] = []

    def start(**options) -> RealWorker:
        started.append(RealWorker(**options))
        return started[-1].start()

    yield start
    for worker in started:
        worker.stop()
        worker.log.unlink()


@pytest.fixture
def redis():
    """Return a client of the test Redis, emptied before and after."""
    from django.conf import settings
    from redis import Redis

    client = Redis.from_url(settings.REDIS_URL)
    client.flushall()
    yield client
    client.flushall()
    client.close()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory) -> Iterator[str]:
    """Return the URL of a real RabbitMQ."""
    if not is_installed():
        pytest.skip(HOW_TO_GET_RABBITMQ)
    with running(tmp_path_factory.mktemp("rabbitmq")) as url:
        yield url


@pytest.fixture(scope="session")
def _moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_server(_moto: str) -> str:
    """Return the URL of an empty S3 server."""
    import requests

    requests.post(f"{_moto}/moto-api/reset", timeout=10)
    return _moto


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """Return a headless Chromium (Playwright's Browser)."""
    with pytest.MonkeyPatch.context() as patch:
        # Playwright runs an event loop in this thread; Django then refuses to use the database.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with launched() as browser:
            yield browser
