"""Waiting for the site's own statement that it is ready."""

import contextlib
import http.client
import ssl
import time
from collections.abc import Callable

from fracture_site.datafolder import DataFolderError
from fracture_site.demo.configuration import Options
from fracture_site.demo.supervisor import Supervisor
from fracture_site.demo.tls import Certificates
from fracture_site.processes import StopSignals, tail

_READY_S = 120.0


class NotReadyError(DataFolderError):
    """The programs run, but the site does not answer."""


def wait_until_ready(
    options: Options,
    certificates: Certificates | None,
    programs: Supervisor,
    signals: StopSignals,
    tick: Callable[[], None],
) -> None:
    """Return as soon as ``/readyz`` answers 200.

    Raises:
        NotReadyError: it does not within two minutes.
    """
    deadline = time.monotonic() + _READY_S
    answer = "no answer"
    while time.monotonic() < deadline:
        programs.keep_running()
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, answer = _ask(options, certificates)
            if status == http.HTTPStatus.OK:
                return
        signals.pause(0.2)
        tick()
    raise NotReadyError(
        f"{options.base_url}/readyz does not answer 200 ({answer[:300]}). "
        f"The end of {options.logs / 'web.log'}:\n{tail(options.logs / 'web.log')}"
    )


def _ask(options: Options, certificates: Certificates | None) -> tuple[int, str]:
    connection: http.client.HTTPConnection
    if certificates is None:
        connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=10)
    else:
        context = ssl.create_default_context(cafile=str(certificates.authority))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", options.port, timeout=10, context=context
        )
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
