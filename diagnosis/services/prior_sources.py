"""The archives that a clinic looks for earlier studies in, and how each is spoken to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from django.conf import settings

from diagnosis.interop import dicom_capabilities as capabilities
from diagnosis.models import Destination, Patient
from diagnosis.services.destination_secrets import secrets_of
from diagnosis.services.dicom_sending import node_of
from diagnosis.services.prior_matching import PersonKnown
from diagnosis.transport.archives import Archive, FoundInstance, FoundStudy
from diagnosis.transport.dicom_query import node_archive
from diagnosis.transport.dicom_web_query import WebArchive

MOVE: Final = "move"
# What is compared with a radiograph; some devices write the last two, which the standard has not.
RADIOGRAPHS: Final = frozenset({"CR", "DX", "RG", "DR", "XR"})
_CLASSES: Final = capabilities.STORED[:4]
_NUMBERS_AT_MOST: Final = 5


@contextmanager
def archive_open(source: Destination) -> Iterator[Archive]:
    """Open a connection to an archive; no transaction should wait for it long.

    Raises:
        TransportError: it does not answer, or not to us.
    """
    if source.kind == Destination.Kind.DICOM_STOW:
        yield WebArchive(source.url, secrets_of(source))
        return
    move_to = settings.DIMSE_AE_TITLE if source.options.get("retrieve") == MOVE else ""
    storage = dict.fromkeys(_CLASSES, capabilities.TRANSFER_SYNTAXES)
    with node_archive(node_of(source), move_to=move_to, storage=storage) as archive:
        yield archive


def sends_to_listener(source: Destination) -> bool:
    """Return whether the archive opens a connection of its own to give images away."""
    by_move = source.options.get("retrieve") == MOVE
    return source.kind == Destination.Kind.DICOM_CSTORE and by_move


def sources_of(clinic_id: UUID) -> list[Destination]:
    """Return the archives of a clinic; in its scope."""
    found = Destination.objects.filter(clinic_id=clinic_id, finds_priors=True, is_enabled=True)
    return list(found.order_by("name", "id"))


def person_known(patient: Patient, source: Destination) -> PersonKnown:
    """Return whom to look for in an archive, with the numbers of records merged into this one."""
    merged = patient.merged_patients.order_by("record_number").values_list(
        "record_number", flat=True
    )
    numbers = [patient.record_number, *merged[: _NUMBERS_AT_MOST - 1]]
    issuer = str(source.options.get("issuer") or "").strip()
    return PersonKnown(patient=patient, numbers=frozenset(numbers), issuer=issuer)


def has_radiographs(study: FoundStudy) -> bool:
    """Return whether a study can have radiographs; one whose kinds are not told can."""
    return not study.modalities or not RADIOGRAPHS.isdisjoint(study.modalities)


def is_radiograph(instance: FoundInstance) -> bool:
    """Return whether an instance is worth fetching."""
    if instance.modality:
        return instance.modality in RADIOGRAPHS
    return instance.sop_class in _CLASSES[:3]
