"""A real archive: Orthanc with its DICOMweb plugin, in a folder of its own, on loopback."""

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

import requests

from fracture_site import processes
from tests.support.worker import wait_for

BINARY = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGINS = Path("/usr/share/orthanc/plugins")
HOW_TO_GET_IT = "Orthanc is needed: apt-get install orthanc orthanc-dicomweb"


def is_installed() -> bool:
    """Whether the binary and its DICOMweb plugin are there."""
    return Path(BINARY).exists() and (PLUGINS / "libOrthancDicomWeb.so").exists()


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Orthanc:
    """Can be stopped and started again; what it stores stays."""

    AE_TITLE = "ORTHANC"

    def __init__(self, folder: Path, **configuration: Any) -> None:
        self.dicom_port, self.http_port = free_port(), free_port()
        self._folder, self._process = folder, None
        self._file = folder / "orthanc.json"
        settings = {
            "Name": "Test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "index"),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": self.AE_TITLE,
            "RemoteAccessAllowed": True,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
            **configuration,
        }
        self._file.write_text(json.dumps(settings))

    @property
    def url(self) -> str:
        """Its REST interface."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        """Its DICOMweb interface."""
        return f"{self.url}/dicom-web"

    def start(self) -> Self:
        """Start and wait until it answers."""
        with (self._folder / "orthanc.log").open("ab") as log:
            self._process = processes.spawn_tied(
                [BINARY, str(self._file)], cwd=self._folder, output=log
            )
        wait_for(self._answers, timeout_s=60, interval_s=0.1)
        return self

    def stop(self) -> None:
        """Stop it; nobody answers any more."""
        if self._process is not None:
            processes.stop(self._process, grace_s=10)
            self._process = None

    def instances(self) -> list[dict[str, Any]]:
        """Return the main tags of everything it stores."""
        found = requests.get(f"{self.url}/instances?expand", timeout=30).json()
        return [
            requests.get(f"{self.url}/instances/{i['ID']}/simplified-tags", timeout=30).json()
            for i in found
        ]

    def files(self) -> list[bytes]:
        """Return every stored file."""
        ids = requests.get(f"{self.url}/instances", timeout=30).json()
        return [requests.get(f"{self.url}/instances/{i}/file", timeout=30).content for i in ids]

    def empty(self) -> None:
        """Remove everything."""
        for patient in requests.get(f"{self.url}/patients", timeout=30).json():
            requests.delete(f"{self.url}/patients/{patient}", timeout=30)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self._folder / "orthanc.log").read_text()[-3000:])
        try:
            return requests.get(f"{self.url}/system", timeout=2).ok
        except requests.RequestException:
            return False


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a tool of dcmtk or dicom3tools and return what it said; never hangs."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, **options
    )
