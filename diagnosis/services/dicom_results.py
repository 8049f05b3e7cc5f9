"""From a study's rows to the DICOM objects that other systems get."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from pydicom.dataset import Dataset

from diagnosis.ingest.display import shown_pixels
from diagnosis.interop.contracts import (
    AlgorithmForDicom,
    Certainty,
    FindingForDicom,
    ImageResultForDicom,
    ImageVerdict,
    PredecessorForDicom,
    ReportForDicom,
    ResultForDicom,
    SignatureForDicom,
)
from diagnosis.interop.dicom_capture import secondary_capture
from diagnosis.interop.dicom_document import encapsulated_pdf
from diagnosis.interop.dicom_identity import (
    other_study_uid,
    patient_for_dicom,
    study_for_dicom,
)
from diagnosis.interop.dicom_instances import instance, source_of
from diagnosis.interop.dicom_presentation import presentation_state
from diagnosis.interop.dicom_sr import structured_report
from diagnosis.models import Content, Finding, ReportVersion, Study, StudyImage
from diagnosis.selectors.recalls import recalled_names, result_is_recalled
from diagnosis.storage import object_read

MANUFACTURER: Final = "Fracture Site"
NO_ALGORITHM: Final = ("Fracture Site", "1")
_CONFIRMED: Final = frozenset({"accepted", "moved", "added"})
_SIDES: Final = {"left": "L", "right": "R"}


@dataclass(frozen=True, slots=True)
class StudyResult:
    """Everything of one study that objects are made of; complete, so that no query is needed."""

    study: Study
    images: list[StudyImage]
    result: Mapping[str, Any]
    findings: Mapping[UUID, list[FindingForDicom]]
    version: ReportVersion | None
    predecessors: tuple[PredecessorForDicom, ...] = ()
    is_recalled: bool = False


def study_result_read(
    *,
    study: Study,
    version: ReportVersion | None,
    predecessors: tuple[PredecessorForDicom, ...] = (),
) -> StudyResult:
    """Read a study's result as it is now, or as it was when ``version`` was signed."""
    images = list(study.images.all())
    result: Mapping[str, Any] = (version.result if version else study.result) or {}
    reviewed = version.reviewed_findings if version else None
    findings = _reviewed(reviewed) if reviewed is not None else _proposed(result)
    known = {entry["id"] for entry in result.get("images", [])}
    if version is not None and known:  # what came after the signature is not part of it
        images = [image for image in images if str(image.pk) in known]
    is_recalled = result_is_recalled(result, recalled_names())
    return StudyResult(study, images, result, findings, version, predecessors, is_recalled)


def result_digest(result: Mapping[str, Any] | None) -> str:
    """Return 64 hexadecimal digits that change with what the AI says, and with nothing else."""
    said = [
        [i["id"], i["verdict"], i["probability"], i["model"], [f["box"] for f in i["findings"]]]
        for i in sorted((result or {}).get("images", []), key=lambda entry: str(entry["id"]))
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def objects_build(found: StudyResult, contents: list[str]) -> Iterator[tuple[str, Dataset]]:
    """Yield what a destination asks for, images first, each with the name of its content.

    Originals are read and never changed. Images in colour have no presentation state.

    Raises:
        OSError: storage did not answer.
    """
    served = {image.pk: object_read(image.served_key) for image in found.images}
    instances = {image.pk: _instance(found, image, served[image.pk]) for image in found.images}
    if Content.IMAGES in contents:
        for image in found.images:
            if image.format != "dicom":
                yield Content.IMAGES, instances[image.pk]
    if not found.images:
        return
    result = _result(found, instances)
    if found.result.get("images"):
        yield from _ai_objects(found, result, contents, served)
    version = found.version
    if Content.PDF in contents and version is not None and result.signature is not None:
        pdf = object_read(version.pdf_key)
        report = ReportForDicom(version.pk, "Radiology report", pdf, result.signature)
        yield Content.PDF, encapsulated_pdf(result, report)


def _ai_objects(
    found: StudyResult, result: ResultForDicom, contents: list[str], served: Mapping[UUID, bytes]
) -> Iterator[tuple[str, Dataset]]:
    if Content.SR in contents:
        yield Content.SR, structured_report(result)
    for image, item in zip(found.images, result.images, strict=True):
        if Content.PRESENTATION in contents and item.image.samples_per_pixel == 1:
            yield Content.PRESENTATION, presentation_state(result, item)
        if Content.CAPTURE in contents:
            pixels = shown_pixels(served[image.pk])
            yield Content.CAPTURE, secondary_capture(result, item, pixels)


def image_instance(*, study: Study, images: list[StudyImage], image: StudyImage) -> Dataset:
    """Return one image as a DICOM instance under the identity that the rows say.

    Raises:
        OSError: storage did not answer.
    """
    found = StudyResult(study, images, {}, {}, None)
    return _instance(found, image, object_read(image.served_key))


def _instance(found: StudyResult, image: StudyImage, served: bytes) -> Dataset:
    return instance(
        served=served,
        image=image,
        study=found.study,
        patient=patient_for_dicom(found.study.patient),
        study_facts=study_for_dicom(found.study, found.images),
    )


def _result(found: StudyResult, instances: Mapping[UUID, Dataset]) -> ResultForDicom:
    study, version = found.study, found.version
    zone = ZoneInfo(study.clinic.time_zone)
    signature = None
    if version is not None and version.signed_at is not None:
        signature = SignatureForDicom(
            version.signer_name, study.clinic.name, version.signed_at.astimezone(zone)
        )
    by_image = {entry["id"]: entry for entry in found.result.get("images", [])}
    moment = version.signed_at if version and version.signed_at else study.updated_at
    result_id = version.pk if version else uuid5(study.pk, result_digest(found.result))
    return ResultForDicom(
        # Objects that say more are other objects: what was sent before a recall keeps its UIDs.
        result_id=uuid5(result_id, "recalled") if found.is_recalled else result_id,
        patient=patient_for_dicom(study.patient),
        study=study_for_dicom(study, found.images),
        images=tuple(
            _item(found, image, instances[image.pk], by_image.get(str(image.pk), {}))
            for image in found.images
        ),
        algorithm=_algorithm(found.result, is_recalled=found.is_recalled),
        created_at=(moment or timezone.now()).astimezone(zone).replace(microsecond=0),
        institution=study.clinic.name,
        signature=replace(signature, signed_at=signature.signed_at.replace(microsecond=0))
        if signature
        else None,
        predecessors=found.predecessors,
    )


def _item(
    found: StudyResult, image: StudyImage, dataset: Dataset, entry: Mapping[str, Any]
) -> ImageResultForDicom:
    side = image.laterality if image.laterality in {"L", "R", "B"} else ""
    verdict = ImageVerdict(entry.get("verdict") or "cannot_assess")
    return ImageResultForDicom(
        image=source_of(
            dataset,
            side=side or _SIDES.get(found.study.side, ""),
            study_uid=other_study_uid(image),
        ),
        verdict=verdict,
        probability=entry.get("probability"),
        region=entry.get("region") or "",
        findings=tuple(found.findings.get(image.pk, [])),
    )


def _algorithm(result: Mapping[str, Any], *, is_recalled: bool) -> AlgorithmForDicom:
    model = result.get("model") or {}
    name, version = model.get("name", NO_ALGORITHM[0]), model.get("version", NO_ALGORITHM[1])
    host = urlsplit(settings.BASE_URL).hostname or "localhost"
    return AlgorithmForDicom(name, version, MANUFACTURER, host, is_recalled)


def _reviewed(entries: list[dict[str, Any]]) -> dict[UUID, list[FindingForDicom]]:
    """Return what the signer vouches for: agreed, moved or added, under the same identifiers."""
    found: dict[UUID, list[FindingForDicom]] = {}
    for entry in entries:
        if entry["state"] in _CONFIRMED:
            x, y, width, height = entry["box"]
            made = FindingForDicom(
                uid=UUID(entry["uid"]),
                x=x,
                y=y,
                width=width,
                height=height,
                probability=entry["probability"],
                certainty=Certainty(entry["certainty"]),
                by_reader=entry["probability"] is None,
            )
            found.setdefault(UUID(entry["image"]), []).append(made)
    return found


def _proposed(result: Mapping[str, Any]) -> dict[UUID, list[FindingForDicom]]:
    entries = {
        UUID(finding["id"]): (UUID(image["id"]), finding)
        for image in result.get("images", [])
        for finding in image["findings"]
    }
    found: dict[UUID, list[FindingForDicom]] = {}
    for pk, uid in Finding.objects.filter(pk__in=entries).values_list("pk", "uid"):
        image_id, finding = entries[pk]
        x, y, width, height = finding["box"]
        made = FindingForDicom(
            uid, x, y, width, height, finding["probability"], Certainty(finding["certainty"])
        )
        found.setdefault(image_id, []).append(made)
    return found
