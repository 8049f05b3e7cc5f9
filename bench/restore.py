# ruff: noqa: INP001 - a script
"""How long a whole backup and a restore of many studies take; JSON lines, exit code 1 if missed.

    python -m fracture_site.embedded run --data var/bench-restore --throwaway -- \
        .venv/bin/python bench/restore.py --studies 10000 --kib 200

Each study has an image with an original and a served copy of so many KiB, each other one a result;
the bytes are random, so that nothing shares or packs them. Restored into an empty database and an
empty folder, with everything that ``manage.py restore`` checks. Bar: 30 minutes, no flaw.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")
MOST_S = 30 * 60
AT_ONCE = 500


def main() -> None:
    """Fill, back up, empty, restore, tell."""
    parser = argparse.ArgumentParser(prog="bench/restore.py")
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--kib", type=int, default=200, help="of each stored object")
    parser.add_argument("--folder", type=Path, help="where objects and backups go meanwhile")
    options = parser.parse_args()
    import django

    django.setup()
    from django.conf import settings

    from accounts.audit_chain import chains_seal
    from diagnosis.services.audit_anchors import anchors_write
    from diagnosis.services.backups import archive_verify, backup_restore, backup_take
    from tests.support.database import empty_all_tables, test_database

    with (
        tempfile.TemporaryDirectory(prefix="fracture-bench-", dir=options.folder) as name,
        test_database("restore"),
    ):
        folder = Path(name)
        _use(settings, folder / "store")
        _tell("filled", options.studies, _timed(lambda: fill(options.studies, options.kib)))
        chains_seal()
        anchors_write()
        began = time.monotonic()
        manifest = backup_take(actor=None, root=folder / "backups", keep=1)
        _tell("backed up", len(manifest.objects), time.monotonic() - began, rows=manifest.rows)
        taken = folder / "backups" / manifest.name
        seconds = _timed(lambda: archive_verify(actor=None, folder=taken))
        _tell("verified", len(manifest.objects), seconds)
        empty_all_tables()
        _use(settings, folder / "new")
        began = time.monotonic()
        found = backup_restore(folder=taken)
        seconds = time.monotonic() - began
        fine = not found.flaws and seconds <= MOST_S
        _tell("restored", found.objects, seconds, rows=found.rows, flaws=len(found.flaws),
              minutes=round(seconds / 60, 1), fine=fine)  # fmt: skip
    sys.exit(0 if fine else 1)


def fill(studies: int, kib: int) -> None:
    """Make patients, studies, images with stored bytes, results, reports, and an event each."""
    from accounts.audit import audit_record
    from accounts.tenancy import clinic_scope
    from diagnosis.models import StudyImage
    from tests.factories import MembershipFactory
    from tests.support.many_studies import many_studies

    member = MembershipFactory(doctor=True)
    many_studies(clinic=member.clinic, user=member.user, count=studies)
    with clinic_scope(member.clinic_id):
        images = list(StudyImage.objects.values_list("pk", "study_id"))
    for begin in range(0, len(images), AT_ONCE):
        with clinic_scope(member.clinic_id):
            for image, study in images[begin : begin + AT_ONCE]:
                StudyImage.objects.filter(pk=image).update(rendition_keys=[], **_stored(kib))
                audit_record(
                    actor=member.user,
                    action="study.open",
                    clinic_id=member.clinic_id,
                    study=str(study),
                )


def _stored(kib: int) -> dict[str, str]:
    """Store an original and a served copy, and return the columns that name them."""
    from diagnosis.storage import object_put

    named = {"thumbnail_key": ""}
    for key, sha256, kind in (
        ("original_key", "sha256", "originals"),
        ("served_key", "served_sha256", "served"),
    ):
        data = os.urandom(kib * 1024)
        named[key] = object_put(data=data, kind=kind, content_type="application/dicom")
        named[sha256] = hashlib.sha256(data).hexdigest()
    return named


def _use(settings: Any, folder: Path) -> None:
    backend = "fracture_site.common.storage.PrivateFileStorage"
    clinical = {"BACKEND": backend, "OPTIONS": {"location": str(folder)}}
    settings.STORAGES = settings.STORAGES | {"clinical": clinical}
    from django.core.signals import setting_changed

    setting_changed.send(
        sender=settings.__class__, setting="STORAGES", value=settings.STORAGES, enter=True
    )


def _timed(act: Any) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _tell(step: str, count: int, seconds: float, **more: Any) -> None:
    line = {"step": step, "count": count, "seconds": round(seconds, 1), **more}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
