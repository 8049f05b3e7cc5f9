"""Modality worklist items (PS3.4 K): what a machine is to examine."""

from collections.abc import Iterator
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydicom.dataset import Dataset

from diagnosis.interop.contracts import StudyForDicom
from diagnosis.interop.dicom_header import UTF8, identifier, identity, person_name, text
from diagnosis.interop.dicom_identity import patient_for_dicom, study_uid
from diagnosis.models import Order, Study

STEP: Final = "ScheduledProcedureStepSequence"
# Matched in the identifier, or in the item of its scheduled procedure step.
WORKLIST_KEYS: Final = (
    "PatientID",
    "PatientName",
    "AccessionNumber",
    "Modality",
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "StudyInstanceUID",
)


def worklist_items(
    entry: tuple[Study, Order | None], identifier_asked: Dataset, time_zone: str
) -> Iterator[Dataset]:
    """Yield the item of one study, with the attributes that were asked for."""
    study, order = entry
    full = _item(study, order, ZoneInfo(time_zone))
    yield _asked(identifier_asked, full)


def _item(study: Study, order: Order | None, zone: ZoneInfo) -> Dataset:
    scheduled = (order.scheduled_at if order and order.scheduled_at else None) or study.created_at
    moment = scheduled.astimezone(zone)
    item = Dataset()
    item.SpecificCharacterSet = UTF8
    facts = StudyForDicom(study_uid(study), accession_number=study.accession_number)
    identity(item, patient_for_dicom(study.patient), facts)
    for empty in ("StudyDate", "StudyTime", "StudyID"):
        delattr(item, empty)
    words = text(_words(study, order))
    item.RequestedProcedureID = identifier(study.accession_number, 16) or study.pk.hex[:16]
    item.RequestedProcedureDescription = words
    item.RequestedProcedurePriority = ("STAT", "HIGH", "ROUTINE")[study.priority]
    item.RequestingPhysician = person_name(order.requester_name) if order else ""
    item.ReasonForTheRequestedProcedure = text(study.clinical_question)
    step = Dataset()
    step.Modality = order.modality if order else "DX"
    step.ScheduledStationAETitle = order.station_ae_title if order else ""
    step.ScheduledProcedureStepStartDate = moment.strftime("%Y%m%d")
    step.ScheduledProcedureStepStartTime = moment.strftime("%H%M%S")
    step.ScheduledProcedureStepID = item.RequestedProcedureID
    step.ScheduledProcedureStepDescription = words
    step.ScheduledPerformingPhysicianName = ""
    setattr(item, STEP, [step])
    return item


def _words(study: Study, order: Order | None) -> str:
    if order and order.procedure_text:
        return order.procedure_text
    part = str(study.get_body_part_display()) if study.body_part else "Radiograph"
    return f"{part} {study.get_side_display()}" if study.side else part


def _asked(asked: Dataset, full: Dataset) -> Dataset:
    answer = Dataset()
    answer.SpecificCharacterSet = UTF8
    for element in asked:
        if element.keyword == STEP:
            wanted: Any = element.value[0] if element.value else full[STEP].value[0]
            setattr(answer, STEP, [_picked(wanted, full[STEP].value[0])])
        elif element.keyword != "SpecificCharacterSet":
            _pick(answer, element, full)
    return answer


def _picked(asked: Dataset, full: Dataset) -> Dataset:
    answer = Dataset()
    for element in asked:
        _pick(answer, element, full)
    return answer


def _pick(answer: Dataset, element: Any, full: Dataset) -> None:
    if element.tag in full:
        answer[element.tag] = full[element.tag]
    else:
        answer.add_new(element.tag, element.VR, None)
