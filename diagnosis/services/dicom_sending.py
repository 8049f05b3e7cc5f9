"""Sending a study's results as DICOM objects, by C-STORE or STOW-RS."""

from collections.abc import Callable
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage

from diagnosis.interop.contracts import PredecessorForDicom
from diagnosis.interop.dicom_header import to_bytes
from diagnosis.models import Content, Delivery, Destination, Event, ReportVersion
from diagnosis.services.destination_secrets import secrets_of
from diagnosis.services.dicom_results import objects_build, study_result_read
from diagnosis.transport import dicom_scu, dicom_web

OUR_AE_TITLE: Final = "FRACTURE_SITE"
_ABOUT_RESULTS: Final = (Event.RESULT_READY, Event.REPORT_SIGNED)
Sent = list[dict[str, Any]]


def cstore_prepare(delivery: Delivery) -> Callable[[], Sent]:
    """Return what sends a delivery over a DICOM association."""
    node = node_of(delivery.destination)
    return _prepared(delivery, lambda objects: dicom_scu.store(node, objects))


def cstore_test(destination: Destination) -> None:
    """Send a C-ECHO."""
    dicom_scu.echo(node_of(destination))


def stow_prepare(delivery: Delivery) -> Callable[[], Sent]:
    """Return what sends a delivery to a DICOMweb server."""
    url, secrets = delivery.destination.url, secrets_of(delivery.destination)
    return _prepared(
        delivery, lambda objects: dicom_web.store(url, secrets, [to_bytes(o) for o in objects])
    )


def stow_test(destination: Destination) -> None:
    """Ask the DICOMweb server for one study."""
    dicom_web.echo(destination.url, secrets_of(destination))


def node_of(destination: Destination) -> dicom_scu.Node:
    """Return where a destination's DICOM node is."""
    return dicom_scu.Node(
        host=destination.host,
        port=destination.port or 0,
        called_ae_title=destination.called_ae_title,
        calling_ae_title=destination.calling_ae_title or OUR_AE_TITLE,
        use_tls=destination.use_tls,
        secrets=secrets_of(destination),
    )


def _prepared(delivery: Delivery, store: Callable[[list[Dataset]], None]) -> Callable[[], Sent]:
    if delivery.event not in _ABOUT_RESULTS:
        return list  # an archive has nothing to do with it
    contents = list(delivery.destination.contents)
    found = study_result_read(
        study=delivery.study, version=_version(delivery), predecessors=_predecessors(delivery)
    )

    def send() -> Sent:
        objects = list(objects_build(found, contents))
        if objects:
            store([dataset for _content, dataset in objects])
        return [_receipt(content, dataset) for content, dataset in objects]

    return send


def _version(delivery: Delivery) -> ReportVersion | None:
    if delivery.event != Event.REPORT_SIGNED:
        return None
    return ReportVersion.objects.get(pk=delivery.subject)


def _predecessors(delivery: Delivery) -> tuple[PredecessorForDicom, ...]:
    """Return the newest structured report of the study that this destination has taken."""
    earlier = Delivery.objects.filter(
        destination=delivery.destination_id,
        study=delivery.study_id,
        number__lt=delivery.number,
        status=Delivery.Status.SUCCEEDED,
    )
    for receipts in earlier.order_by("-number").values_list("sent", flat=True):
        for receipt in receipts:
            if receipt["content"] == Content.SR:
                series, instance = receipt["series_instance_uid"], receipt["sop_instance_uid"]
                return (PredecessorForDicom(ComprehensiveSRStorage, instance, series),)
    return ()


def _receipt(content: str, dataset: Dataset) -> dict[str, Any]:
    return {
        "content": str(content),
        "sop_instance_uid": str(dataset.SOPInstanceUID),
        "series_instance_uid": str(dataset.SeriesInstanceUID),
    }
