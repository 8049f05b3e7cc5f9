# ruff: noqa: INP001 - a script
"""How fast images are taken in: our listener beside Orthanc, the same files, the same machine.

    python -m fracture_site.embedded run --data var/bench --throwaway --
        .venv/bin/python bench/dicom_store.py --images 500 --associations 4     (one line)

Both answer success after the image is stored; ours has by then also decoded, sanitised, rendered
and queued it. One JSON line with images a second.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")


def draw(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Write radiographs that differ in identity and in one pixel; drawing each takes long."""
    import pydicom
    from pydicom.uid import generate_uid

    from ml.data.synthetic import synthetic_radiograph, to_dicom

    dataset = pydicom.dcmread(
        io.BytesIO(to_dicom(synthetic_radiograph(1, size=size, bits=12).pixels))
    )
    pixels = bytearray(dataset.PixelData)
    files = []
    for number in range(count):
        pixels[:2] = number.to_bytes(2, "little")
        dataset.PixelData = bytes(pixels)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.PatientID = f"BENCH-{number % 50}"
        dataset.StudyInstanceUID = f"1.2.3.{number % 50}"
        files.append(folder / f"{number:05d}.dcm")
        dataset.save_as(files[-1])
    return files


def send(files: list[Path], port: int, called: str, associations: int) -> float:
    """Send all files over so many associations at once; return the seconds."""

    def one(part: int) -> int:
        command = ["storescu", "-aet", "BENCH", "-aec", called, "127.0.0.1", str(port)]
        command += map(str, files[part::associations])
        done = subprocess.run(command, check=False)  # noqa: S603 - a list, and our own files
        return done.returncode

    started = time.monotonic()
    with ThreadPoolExecutor(associations) as pool:
        if any(pool.map(one, range(associations))):
            sys.exit(f"{called} refused an image")
    return time.monotonic() - started


def rate(peer: str, files: list[Path], seconds: float, stored: int) -> float:
    """Return images a second; nothing may be missing."""
    if stored < len(files):
        sys.exit(f"{peer} holds {stored} of {len(files)} images")
    return len(files) / seconds


def ours(files: list[Path], associations: int) -> float:
    """Measure the listener, on a database made for it."""
    from accounts.models import Role
    from accounts.tenancy import clinic_scope
    from diagnosis.models import StudyImage
    from tests.factories import DeviceFactory, MembershipFactory
    from tests.support.listener import Listener

    member = MembershipFactory(roles=[Role.TECHNICIAN])
    DeviceFactory(membership=member, ae_title="BENCH")
    listener = Listener().start()
    try:
        seconds = send(files, listener.port, "FRACTURE_SITE", associations)
    finally:
        listener.stop()
    with clinic_scope(member.clinic_id):
        return rate("fracture-site", files, seconds, StudyImage.objects.count())


def orthanc(files: list[Path], associations: int, folder: Path) -> float:
    """Measure Orthanc with its own defaults."""
    from tests.support.orthanc import Orthanc

    archive = Orthanc(folder).start()
    try:
        seconds = send(files, archive.dicom_port, "ORTHANC", associations)
        return rate("orthanc", files, seconds, len(archive.files()))
    finally:
        archive.stop()


def main() -> None:
    """Run both, one after the other."""
    parser = argparse.ArgumentParser(prog="bench/dicom_store.py")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--associations", type=int, default=4)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--height", type=int, default=1280)
    options = parser.parse_args()
    import django

    django.setup()
    from bench.figures import figure
    from tests.support.database import test_database

    with tempfile.TemporaryDirectory(prefix="fracture-bench-") as name:
        folder = Path(name)
        files = draw(folder, options.images, (options.width, options.height))
        there = shutil.which("Orthanc") or shutil.which("orthanc")
        with test_database("bench"):
            peer = orthanc(files, options.associations, folder) if there else None
            own = ours(files, options.associations)
        figure(
            f"C-STORE of {options.width} x {options.height}, {options.associations} associations",
            own, "1/s", n=len(files), peer=peer, peer_is="Orthanc, which stores only",
            more_is_better=True, aim="ratio >= 1",
        )  # fmt: skip


if __name__ == "__main__":
    main()
