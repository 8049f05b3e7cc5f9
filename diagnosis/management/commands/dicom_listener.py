"""Take in images and answer queries over DICOM until a stop signal arrives."""

import logging
import resource
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.checks import refuse_unbound_role
from diagnosis.dimse.listener import make_server
from diagnosis.ingest.images import warm_up

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """A process of its own with a memory limit; see the DIMSE_* settings."""

    help = "Run the DICOM listener (C-ECHO, C-STORE, C-FIND, modality worklist)"

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Serve."""
        refuse_unbound_role()
        _refuse_open_network()
        warm_up()  # before the memory is limited: the limited process has limits of its own
        _limit_memory()
        with tempfile.TemporaryDirectory(prefix="fracture-dimse-") as folder:
            tempfile.tempdir = folder  # what a broken transfer leaves goes with it
            try:
                server = make_server((settings.DIMSE_HOST, settings.DIMSE_PORT))
            except OSError as error:
                raise CommandError(f"The DICOM listener cannot start: {error.strerror}") from error
            _stop_politely(server)
            where = f"{settings.DIMSE_AE_TITLE}@{settings.DIMSE_HOST}:{settings.DIMSE_PORT}"
            kind = "TLS" if settings.DIMSE_TLS_CERTIFICATE else "plain"
            self.stdout.write(f"DICOM listener ready: {where} ({kind})")
            self.stdout.flush()
            try:
                server.serve_forever(poll_interval=0.2)
            finally:
                server.server_close()
        tempfile.tempdir = None


def _refuse_open_network() -> None:
    loopback = settings.DIMSE_HOST in {"127.0.0.1", "::1", "localhost"}
    if not settings.DIMSE_TLS_CERTIFICATE and not loopback and not settings.DIMSE_PLAIN_NETWORK:
        raise CommandError(
            "Images of patients would travel unencrypted. Set DIMSE_TLS_CERTIFICATE, DIMSE_TLS_KEY "
            "and DIMSE_TLS_CLIENT_CA, or DIMSE_PLAIN_NETWORK=true in a network you trust."
        )
    for name in ("DIMSE_TLS_CERTIFICATE", "DIMSE_TLS_KEY", "DIMSE_TLS_CLIENT_CA"):
        path = getattr(settings, name)
        if settings.DIMSE_TLS_CERTIFICATE and not Path(path or "/").is_file():
            raise CommandError(f"{name}={path!r} is not a readable file.")


def _limit_memory() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = settings.DIMSE_MEMORY_BYTES
    if limit and (hard == resource.RLIM_INFINITY or limit < hard):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _stop_politely(server: Any) -> None:
    def stop(_signum: int, _frame: object) -> None:
        # From a thread: it waits for the loop that this signal has interrupted.
        threading.Thread(target=server.shutdown, daemon=True).start()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
