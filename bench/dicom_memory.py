# ruff: noqa: INP001 - a script
"""What the DICOM listener occupies while full-size radiographs come in over several associations.

    python -m fracture_site.embedded run --data var/bench --throwaway --
        .venv/bin/python bench/dicom_memory.py --images 500 --associations 4     (one line)

3000 x 2500 pixels of 16 bits, 15 MB each. One JSON line: the most that the process occupied (RSS,
without its limited children) before, during and after, and how many images were stored.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")
ROWS, COLUMNS = 3000, 2500
MIB = 2**20


def write(path: Path, number: int) -> None:
    """Write one radiograph: a slope with noise, which no codec or cache makes smaller."""
    from ml.data.synthetic import to_dicom

    noise = np.random.default_rng(number).integers(0, 4096, (ROWS, COLUMNS), dtype=np.uint16)
    slope = np.linspace(0, 60000, COLUMNS, dtype=np.uint16)[np.newaxis, :]
    names = {"PatientID": f"BENCH-{number % 50}", "StudyInstanceUID": f"1.2.3.{number % 50}"}
    path.write_bytes(to_dicom(noise + slope, attributes=names))


def send(numbers: range, port: int, folder: Path) -> int:
    """Send images one by one over one association each, so that the disk holds one at a time."""
    for number in numbers:
        path = folder / f"{number}.dcm"
        write(path, number)
        command = ["storescu", "-aet", "BENCH", "-aec", "FRACTURE_SITE", "127.0.0.1", str(port)]
        done = subprocess.run([*command, str(path)], check=False)  # noqa: S603 - our own file
        path.unlink()
        if done.returncode:
            return done.returncode
    return 0


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="bench/dicom_memory.py")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--associations", type=int, default=4)
    options = parser.parse_args()
    import django

    django.setup()
    from accounts.models import Role
    from accounts.tenancy import clinic_scope
    from diagnosis.models import StudyImage
    from tests.factories import DeviceFactory, MembershipFactory
    from tests.support.database import test_database
    from tests.support.listener import Listener

    with tempfile.TemporaryDirectory(prefix="fracture-bench-") as name, test_database("bench"):
        member = MembershipFactory(roles=[Role.TECHNICIAN])
        DeviceFactory(membership=member, ae_title="BENCH")
        listener = Listener().start()
        before, most, ended = listener.memory_bytes, 0, threading.Event()

        def watch() -> None:
            nonlocal most
            while not ended.wait(0.05):
                most = max(most, listener.memory_bytes)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            parts = [
                range(part, options.images, options.associations)
                for part in range(options.associations)
            ]
            with ThreadPoolExecutor(options.associations) as pool:
                codes = list(pool.map(lambda part: send(part, listener.port, Path(name)), parts))
        finally:
            ended.set()
            watcher.join()
            after = listener.memory_bytes
            listener.stop()
        with clinic_scope(member.clinic_id):
            stored = StudyImage.objects.count()
    line = {"images": options.images, "stored": stored, "associations": options.associations}
    sizes = {"before": before, "most": most, "after": after}
    line |= {f"rss_{when}_mib": round(size / MIB) for when, size in sizes.items()}
    sys.stdout.write(json.dumps(line) + "\n")
    if any(codes):
        sys.exit("an image was refused")


if __name__ == "__main__":
    main()
