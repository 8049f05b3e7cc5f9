"""A de-identified training set out of signed reports and what doctors decided about findings.

The folder is laid out like the data sets that ``ml`` trains on: ``manifest.csv`` (one row an
image), ``boxes.csv`` (one row a confirmed fracture), ``rejected.csv`` (what the AI marked and a
doctor refused, with the reason) and ``images/``. Names of files and patients are random and made
anew for each set; nothing leads back. Pictures are decoded and written again without any header;
text that is burned into the pixels stays, so people look before a set leaves the site.
"""

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from accounts.tenancy import clinic_scope
from diagnosis.inference import training_picture
from diagnosis.models import StudyImage
from diagnosis.selectors.findings import ReviewedFinding, findings_of_image
from diagnosis.selectors.training import training_consent, training_images
from diagnosis.selectors.truth import image_truth, signed_studies
from diagnosis.services.integrity import DamagedObjectError, served_bytes
from fracture_site.common.errors import ConflictError, RefusedInputError

SCHEMA: Final = 1
LONGEST_SIDE: Final = 1024
MANIFEST: Final = (
    "image_id", "fractured", "region", "body_region", "frontal", "lateral", "hardware", "cast",
    "fracture_count", "group", "block", "label_conflict", "truncated", "width", "height",
)  # fmt: skip
BOXES: Final = (
    "image_id", "x", "y", "w", "h", "bone", "laterality", "pattern", "displacement", "severity",
    "decision",
)  # fmt: skip
REJECTED: Final = ("image_id", "x", "y", "w", "h", "reason")
# What the study form and the doctor's words are called in ``ml.labels``.
_REGIONS: Final = {"hip": "pelvis_hip", "lower_leg": "tibia_fibula"}
_PATTERNS: Final = {"oblique_spiral": "oblique"}
_FRONTAL: Final = frozenset({"AP", "PA"})
_LATERAL: Final = frozenset({"LL", "RL", "LAT", "LATERAL"})


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """One image with its truth, ready to be written; ids are the platform's and stay here."""

    image: StudyImage
    patient_id: UUID
    fractured: bool
    region: str
    warnings: tuple[str, ...]
    confirmed: tuple[ReviewedFinding, ...]
    rejected: tuple[ReviewedFinding, ...]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What an export wrote and left out."""

    images: int
    fractured: int
    boxes: int
    patients: int
    undecided: int
    unreadable: int


def training_images_of(*, actor: User, clinic_id: UUID) -> tuple[list[TrainingImage], int]:
    """Return the clinic's images with a binding truth, and how many are undecided.

    Raises:
        ActionDeniedError: ``actor`` is no administrator of the clinic.
        ConflictError: ``training_not_agreed``: the clinic has not agreed.
    """
    with clinic_scope(clinic_id):
        require(user=actor, action=Action.TRAINING_EXPORT, clinic_id=clinic_id)
        if training_consent(user=actor) is None:
            raise ConflictError(
                "training_not_agreed",
                _("The clinic has not agreed to this. An administrator can, on the page Models."),
            )
        images = list(training_images(user=actor))
        signed = signed_studies(user=actor, study_ids={image.study_id for image in images})
        found = [_described(image) for image in images if image.study_id in signed]
    decided = [entry for entry in found if entry is not None]
    return decided, len(found) - len(decided)


def training_set_write(
    *, actor: User, clinic_id: UUID, images: Iterable[TrainingImage], undecided: int, out: Path
) -> TrainingSet:
    """Write the set into a new folder, whole or not at all, and audit that it was made.

    Raises:
        RefusedInputError: ``out_not_empty``.
        OSError: storage did not answer, or the folder cannot be written.
    """
    if out.exists() and any(out.iterdir()):
        raise RefusedInputError("out_not_empty", _("The folder is not empty. Name a new one."))
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=out.parent, prefix=".training-"))
    try:
        written = _write(images, undecided, building)
        with clinic_scope(clinic_id):
            audit_record(
                actor=actor,
                action=Action.TRAINING_EXPORT,
                clinic_id=clinic_id,
                images=written.images,
                patients=written.patients,
            )
        if out.exists():
            out.rmdir()
        building.rename(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return written


def _described(image: StudyImage) -> TrainingImage | None:
    truth, result = image_truth(image), image.newest_result
    if truth is None or result is None:
        return None
    found = findings_of_image(image)
    return TrainingImage(
        image=image,
        patient_id=image.study.patient_id,
        fractured=truth,
        region=result.region,
        warnings=tuple(result.warnings),
        confirmed=tuple(each for each in found if each.is_confirmed),
        rejected=tuple(each for each in found if each.state == "rejected"),
    )


def _write(images: Iterable[TrainingImage], undecided: int, folder: Path) -> TrainingSet:
    (folder / "images").mkdir()
    pseudonyms: dict[UUID, str] = {}
    hashes: dict[str, str] = {}
    rows: dict[str, list[Mapping[str, Any]]] = {"manifest": [], "boxes": [], "rejected": []}
    unreadable = 0
    for entry in images:
        try:
            picture, scale = training_picture(served_bytes(entry.image), longest_side=LONGEST_SIDE)
        except (DamagedObjectError, FileNotFoundError, ValueError):
            unreadable += 1  # the nightly check of stored objects reports it
            continue
        name = f"{uuid4()}.png"
        (folder / "images" / name).write_bytes(picture)
        hashes[name] = hashlib.sha256(picture).hexdigest()
        patient = pseudonyms.setdefault(entry.patient_id, uuid4().hex)
        rows["manifest"].append(_manifest_row(entry, name, patient, scale))
        rows["boxes"] += [_box_row(found, name, scale) for found in entry.confirmed]
        rows["rejected"] += [_rejected_row(found, name, scale) for found in entry.rejected]
    for file, columns in (("manifest", MANIFEST), ("boxes", BOXES), ("rejected", REJECTED)):
        # In random order: the platform's order would tell who came first.
        _csv(folder / f"{file}.csv", columns, sorted(rows[file], key=lambda r: r["image_id"]))
    written = TrainingSet(
        images=len(hashes),
        fractured=sum(row["fractured"] for row in rows["manifest"]),
        boxes=len(rows["boxes"]),
        patients=len(pseudonyms),
        undecided=undecided,
        unreadable=unreadable,
    )
    about = {"schema": SCHEMA, "longest_side": LONGEST_SIDE, "images": dict(sorted(hashes.items()))}
    (folder / "export.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    return written


def _manifest_row(entry: TrainingImage, name: str, patient: str, scale: float) -> dict[str, Any]:
    image = entry.image
    part = image.study.body_part
    view = image.view_position.upper()
    return {
        "image_id": name,
        "fractured": int(entry.fractured),
        "region": entry.region,
        "body_region": _REGIONS.get(part, part),
        "frontal": int(view in _FRONTAL),
        "lateral": int(view in _LATERAL),
        "hardware": int("hardware" in entry.warnings),
        "cast": int("cast" in entry.warnings),
        "fracture_count": len(entry.confirmed),
        "group": name,  # copies of one picture; the platform keeps none
        "block": patient,
        "label_conflict": 0,
        "truncated": int("truncated_file" in {*entry.warnings, *image.warnings}),
        "width": round(image.width * scale),
        "height": round(image.height * scale),
    }


def _box_row(found: ReviewedFinding, name: str, scale: float) -> dict[str, Any]:
    pattern = found.described("fracture_type")
    return {
        **_place(found, name, scale),
        "bone": found.described("bone"),
        "laterality": found.described("laterality"),
        "pattern": _PATTERNS.get(pattern, pattern),
        "displacement": found.described("displacement"),
        "severity": found.described("severity"),
        "decision": found.state,
    }


def _rejected_row(found: ReviewedFinding, name: str, scale: float) -> dict[str, Any]:
    reason = found.review.reject_reason if found.review else ""
    return {**_place(found, name, scale), "reason": reason}


def _place(found: ReviewedFinding, name: str, scale: float) -> dict[str, Any]:
    x, y, width, height = (round(side * scale, 1) for side in found.box)
    return {"image_id": name, "x": x, "y": y, "w": width, "h": height}


def _csv(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
