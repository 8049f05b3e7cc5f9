"""Patients of the factories have names of one form; where none belongs, none may show up.

Always on: logs as production writes them, messages to the broker, e-mails, object keys, addresses
that the site makes (redirects, links, forms), errors that the API tells, metrics. A test that lets
a mark through fails by its own name.
"""

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.mail.message import EmailMessage
from django.test.client import ClientHandler
from kombu import Producer

from fracture_site.common.logs import JsonFormatter

# As ``PatientFactory`` makes them: family names, record numbers.
MARK = re.compile(r"Example\d+\b|\bMRN-\d+\b")
_ADDRESSES = re.compile(r'(?:href|src|action|hx-[a-z]+)="([^"]*)"')
_found: list[str] = []


def look(where: str, text: str) -> None:
    """Note a mark that stands where none belongs."""
    _found.extend(f"{mark} in {where}: {text[:200]!r}" for mark in MARK.findall(text))


class _Listener(logging.Handler):
    """Reads what production would write."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "httpx":  # who calls the API in a test; the site has no such client
            look("a log", self.format(record))


def _look_at_answer(response: Any) -> None:
    look("a redirect", response.headers.get("Location", ""))
    if response.streaming or not response.content:
        return
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/html"):
        for address in _ADDRESSES.findall(response.content.decode(errors="replace")):
            look("an address", address)
    elif response.status_code >= 400 and "json" in kind:
        look("an error", response.content.decode(errors="replace"))
    elif kind.startswith("text/plain"):  # metrics among them
        look("plain text", response.content.decode(errors="replace"))


@pytest.fixture(scope="session", autouse=True)
def _eyes_everywhere() -> Iterator[None]:
    """Look at what leaves, as long as the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        publish, send, answer = Producer.publish, EmailMessage.send, ClientHandler.__call__

        def publish_seen(producer: Any, body: Any, *args: Any, **options: Any) -> Any:
            look("a message to the broker", repr(body))
            return publish(producer, body, *args, **options)

        def send_seen(message: Any, *args: Any, **options: Any) -> Any:
            look("an e-mail", message.message().as_string())
            look("an e-mail", f"{message.subject} {message.body}")
            return send(message, *args, **options)

        def answer_seen(handler: Any, environ: Any) -> Any:
            response = answer(handler, environ)
            _look_at_answer(response)
            return response

        patch.setattr(Producer, "publish", publish_seen)
        patch.setattr(EmailMessage, "send", send_seen)
        patch.setattr(ClientHandler, "__call__", answer_seen)
        listener = _Listener()
        logging.getLogger().addHandler(listener)
        yield
        logging.getLogger().removeHandler(listener)


@pytest.fixture(autouse=True)
def no_patient_where_none_belongs(_eyes_everywhere: None) -> Iterator[list[str]]:
    """Fail the test that let a patient out."""
    _found.clear()
    yield _found
    assert not _found, _found
