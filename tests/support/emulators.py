"""Object stores of other makers, as their emulators: Azure's in Node, Google's in Python."""

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fracture_site import processes
from tests.support.orthanc import free_port

AZURITE = os.environ.get("AZURITE", "") or shutil.which("azurite-blob") or ""
HOW_TO_GET_AZURITE = "Azurite is needed (Node 20, MIT): `make test-azure` fetches it"
ACCOUNT = "clinicaccount"


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Run Azure's emulator; yield the connection string of its only account."""
    port, key = free_port(), base64.b64encode(os.urandom(64)).decode()
    command = [
        AZURITE, "--location", str(folder), "--blobHost", "127.0.0.1", "--blobPort", str(port),
        "--silent", "--disableTelemetry", "--skipApiVersionCheck",
    ]  # fmt: skip
    log = folder / "azurite.log"
    env = os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
    with log.open("ab") as output:
        process = processes.spawn_tied(command, cwd=folder, output=output, env=env)
    try:
        ready = processes.wait_until(
            lambda: process.poll() is not None or b"successfully listen" in log.read_bytes(),
            timeout_s=60,
        )
        assert ready, processes.tail(log)
        assert process.poll() is None, processes.tail(log)
        yield (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
        )
    finally:
        processes.stop(process, grace_s=10)


@contextmanager
def google() -> Iterator[str]:
    """Run Google's emulator in this process; yield its URL."""
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
