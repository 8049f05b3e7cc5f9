"""Listen for HL7 v2 messages over MLLP: one process of its own, beside web and workers."""

import asyncio
import logging
import signal
import ssl
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from accounts.checks import refuse_unbound_role
from diagnosis.interop.mllp import Limits, MllpServer, Peer
from diagnosis.services.hl7_inbox import hl7_receive, hl7_refusal

logger = logging.getLogger(__name__)
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Command(BaseCommand):
    """Runs until a stop signal; messages that are being worked on get their answer first."""

    help = "Take orders (ORM, OMI) and patient data (ADT) over MLLP"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.HL7_HOST)
        parser.add_argument("--port", type=int, default=settings.HL7_PORT)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Listen."""
        try:
            refuse_unbound_role()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        asyncio.run(self._listen(options["host"], options["port"]))

    async def _listen(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(settings.HL7_THREADS, "hl7") as threads:

            async def handle(data: bytes, peer: Peer) -> bytes:
                return await loop.run_in_executor(threads, _carried_out, data, peer)

            limits = Limits(message_bytes=settings.HL7_MAX_BYTES)
            server = MllpServer(handle, hl7_refusal, limits)
            try:
                await server.start(host, port, tls=_tls())
            except OSError as error:
                raise CommandError(f"Cannot listen on {host}:{port}: {error.strerror}") from error
            stopped = asyncio.Event()
            for signum in _STOP_SIGNALS:
                loop.add_signal_handler(signum, stopped.set)
            self.stdout.write(f"hl7 listener ready on {host}:{server.port}")
            self.stdout.flush()
            await stopped.wait()
            await server.stop()


def _carried_out(data: bytes, peer: Peer) -> bytes:
    """Carry out one message in a thread of its own; whatever fails is answered with a code."""
    close_old_connections()
    try:
        return hl7_receive(data=data, peer=peer)
    except DatabaseError as error:
        logger.warning("hl7 message not taken", extra={"code": type(error).__name__})
        connection.close()
        return hl7_refusal("unavailable", data)
    except Exception:  # a bug must not silence the sender; JSON logs drop the exception's text
        logger.exception("hl7 message failed")
        connection.close()
        return hl7_refusal("internal", data)
    finally:
        close_old_connections()


def _tls() -> ssl.SSLContext | None:
    """Return the TLS of the listener; with an authority, peers must show a certificate of it.

    Raises:
        CommandError: the files cannot be used.
    """
    certificate, key, authority = (
        settings.HL7_TLS_CERTIFICATE, settings.HL7_TLS_KEY, settings.HL7_TLS_CLIENT_AUTHORITY,
    )  # fmt: skip
    if not certificate:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(Path(certificate), Path(key) if key else None)
        if authority:
            context.load_verify_locations(Path(authority))
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one
        raise CommandError(f"HL7_TLS_*: {error.strerror or type(error).__name__}") from error
    return context
