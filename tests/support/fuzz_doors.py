"""Sends files through the real doors of a clinic and judges what came of each.

The doors: the API's upload, the page's, STOW-RS, and C-STORE on the real listener process. A file
is in order when it is answered in time with "stored" or with a refusal that has a code, when the
store holds exactly the objects that rows name, and when what is served of it is a clean file.
"""

import io
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pydicom.uid import UID, generate_uid
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from rest_framework.test import APIClient

from accounts.models import Membership, Role
from accounts.tenancy import clinic_scope
from diagnosis.ingest.sandbox import sandbox
from diagnosis.interop import dicom_capabilities as capabilities
from diagnosis.models import Study, StudyImage
from diagnosis.services.orphans import orphans_find
from diagnosis.storage import object_list, object_read
from tests.factories import (
    ApiTokenFactory,
    DeviceFactory,
    MembershipFactory,
    PatientFactory,
    StudyFactory,
)
from tests.support.listener import Listener
from tests.support.mutations import TAIL, ends_at_its_last_element

SLOWEST_S: Final = 5.0
KINDS: Final = ("originals", "served", "renditions", "thumbnails")
FINE: Final = frozenset({200, 201, 202, 400, 409, 413, 415, 422})
_AT_ONCE: Final = timedelta(0)
_DX: Final = UID("1.2.840.10008.5.1.4.1.1.1.1")


@dataclass
class Verdict:
    """What came of many files."""

    limit_s: float = SLOWEST_S
    files: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    served: int = 0
    unclean: int = 0
    residue: int = 0

    def note(self, name: str, answer: str, seconds: float, *, fine: bool) -> None:
        """Count one answer."""
        self.files += 1
        self.answers[answer] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        if not fine:
            self.wrong.append(f"{name}: {answer}")
        if seconds > self.limit_s:
            self.wrong.append(f"{name}: {seconds:.1f} s")

    @property
    def is_fine(self) -> bool:
        """Whether the bar is reached."""
        return not (self.wrong or self.unclean or self.residue)

    def line(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "files": self.files,
            "answers": dict(sorted(self.answers.items())),
            "slowest_s": round(self.slowest_s, 2),
            "wrong": len(self.wrong),
            "first_wrong": self.wrong[:5],
            "served_files_checked": self.served,
            "served_files_unclean": self.unclean,
            "residue": self.residue,
            "child_peak_mib": sandbox.child_peak_kib // 1024,
        }


class Doors:
    """One clinic with a client for every door; call it outside of transactions."""

    def __init__(self) -> None:
        self.member: Membership = MembershipFactory(roles=[Role.TECHNICIAN, Role.DOCTOR])
        token = ApiTokenFactory(membership=self.member, scope="write")
        self.api = APIClient(raise_request_exception=False, SERVER_NAME="localhost")
        self.api.credentials(HTTP_AUTHORIZATION=f"Token {token.secret}")
        self.browser = Client(raise_request_exception=False, SERVER_NAME="localhost")
        self.browser.force_login(self.member.user)
        self._patient = PatientFactory(clinic=self.member.clinic)
        self._study, self._sent = StudyFactory(patient=self._patient), 0
        self._checked: set[Any] = set()

    def by_api(self, data: bytes) -> tuple[str, bool]:
        """Upload as other software does."""
        address = f"/api/v1/studies/{self._room().pk}/images/"
        return self._told(self.api.post(address, {"file": _upload(data)}, format="multipart"))

    def by_page(self, data: bytes) -> tuple[str, bool]:
        """Upload as a person does."""
        address = f"/studies/{self._room().pk}/upload/"
        return self._told(self.browser.post(address, {"file": _upload(data)}))

    def by_stow(self, data: bytes) -> tuple[str, bool]:
        """Store as another archive does."""
        border = uuid4().hex
        body = b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--\r\n" % (
            border.encode(), data, border.encode(),
        )  # fmt: skip
        kind = f'multipart/related; type="application/dicom"; boundary={border}'
        return self._told(
            self.api.generic("POST", "/api/dicomweb/studies", body, content_type=kind)
        )

    def _told(self, answer: Any) -> tuple[str, bool]:
        return str(answer.status_code), answer.status_code in FINE

    def _room(self) -> Study:
        """Return a study with room for one more image."""
        self._sent += 1
        if self._sent % 50 == 0:
            self._study = StudyFactory(patient=self._patient)
        return self._study

    def judge(self, verdict: Verdict) -> None:
        """Look at everything that was stored since the last time, and for what nobody names."""
        clinic_id = self.member.clinic_id
        with clinic_scope(clinic_id):
            fresh = StudyImage.objects.exclude(pk__in=self._checked)
            images = list(fresh.only("pk", "served_key", "served_content_type"))
            empty = Study.objects.exclude(pk=self._study.pk).filter(
                images__isnull=True, study_instance_uid__gt=""
            )
            verdict.residue += empty.count()
        for image in images:
            self._checked.add(image.pk)
            verdict.served += 1
            verdict.unclean += not is_clean(
                object_read(image.served_key), image.served_content_type
            )
        verdict.residue += len(orphans_find(settled_after=_AT_ONCE)) + _missing(clinic_id)


class StoreScu:
    """C-STORE of raw bytes: what a client's library would correct is sent as it is."""

    def __init__(self, doors: Doors, listener: Listener) -> None:
        DeviceFactory(membership=doors.member, ae_title="FUZZ")
        self._port = listener.port
        self._association: Any = None

    def send(self, data: bytes, rng: random.Random) -> tuple[str, bool]:
        """Send what follows the file's head, under some transfer syntax of the listener."""
        if self._association is None or not self._association.is_established:
            self._association = self._connect()
        context = rng.choice(self._association.accepted_contexts)
        request = C_STORE()
        request.MessageID = rng.randrange(1, 65535)
        request.AffectedSOPClassUID = _DX
        request.AffectedSOPInstanceUID = generate_uid()
        request.Priority = 2
        request.DataSet = io.BytesIO(_without_head(data))
        answer = self._answer(request, context.context_id)
        if answer is None:
            # The listener ended the association: a refusal, as long as it takes the next one.
            self._association.kill()
            self._association = None
            return "aborted", True
        return f"0x{answer.Status:04X}", True

    def _answer(self, request: C_STORE, context_id: int) -> Any:
        """Send, and wait for the answer or the end of the association."""
        association = self._association
        association._reactor_checkpoint.clear()
        while not association._is_paused:
            time.sleep(0.0005)
        association.dimse.send_msg(request, context_id)
        answer, until = None, time.monotonic() + 3 * SLOWEST_S
        while answer is None and time.monotonic() < until and association.dul.is_alive():
            _context, answer = association.dimse.get_msg(block=False)
            if answer is None:
                time.sleep(0.002)
                if association.dul.peek_next_pdu() is not None:  # an abort, or the end
                    break
        association._reactor_checkpoint.set()
        return answer

    def close(self) -> None:
        """Say goodbye."""
        if self._association is not None and self._association.is_established:
            self._association.release()

    def _connect(self) -> Any:
        entity = AE(ae_title="FUZZ")
        for syntax in capabilities.TRANSFER_SYNTAXES:
            entity.add_requested_context(_DX, syntax)
        entity.dimse_timeout = SLOWEST_S + 10
        association = entity.associate("127.0.0.1", self._port, ae_title="FRACTURE_SITE")
        if not association.is_established:
            raise AssertionError("the listener takes no association")
        return association


def send_all(
    doors: Doors,
    files: Iterable[tuple[str, bytes]],
    send: Callable[[bytes], tuple[str, bool]],
    verdict: Verdict,
    *,
    judge_every: int = 200,
) -> None:
    """Send files one after the other and judge them."""
    for number, (name, data) in enumerate(files, start=1):
        began = time.monotonic()
        answer, fine = send(data)
        verdict.note(name, answer, time.monotonic() - began, fine=fine)
        if number % judge_every == 0:
            doors.judge(verdict)
    doors.judge(verdict)


def is_clean(data: bytes, content_type: str) -> bool:
    """Tell whether a served file is one file and nothing else."""
    if TAIL in data:
        return False
    if content_type == "application/dicom":
        return ends_at_its_last_element(data)
    if content_type == "image/png":
        return data.startswith(b"\x89PNG") and data.endswith(b"IEND\xaeB\x60\x82")
    return data.startswith((b"II*\x00", b"MM\x00*"))


def _missing(clinic_id: Any) -> int:
    """Return how many objects rows name that are not there."""
    stored = {key for kind in KINDS for key, _written in object_list(kind)}
    with clinic_scope(clinic_id):
        named = set(StudyImage.objects.values_list("served_key", flat=True))
    return len(named - stored)


def _without_head(data: bytes) -> bytes:
    """Return a file's data set: what follows the group of the head, as far as it says."""
    if data[128:132] != b"DICM":
        return data
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :] if length < len(data) else data[132:]


def _upload(data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("image", data, content_type="application/octet-stream")
