# ruff: noqa: S311 - nothing here is a secret
"""Whether time tells what exists elsewhere: interleaved samples, one JSON line a question.

    make oracle SAMPLES=200

The same person asks for what another clinic has and for what nobody has, in random order; both
must take equally long. Equal means: a bootstrap interval of the difference of the medians holds
zero, or the difference is below a twentieth of the answer's time. Status and body are compared by
``test_tenancy_matrix.py``. Uploads of the same bytes as in another clinic are compared, too.
"""

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.services.uploads import image_upload
from ml.data.synthetic import to_png
from tests.diagnosis.api.conftest import client_of, world_of
from tests.factories import ClinicFactory, MembershipFactory, PatientFactory, StudyFactory
from tests.support.dicom_studies import pixels

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(7200)]
SAMPLES = int(os.environ.get("SAMPLES", "200"))
UPLOADS = max(20, SAMPLES // 4)
SMALL = 0.05  # of the answer's time
ADDRESSES = {
    "study": "/api/v1/studies/{}/", "patient": "/api/v1/patients/{}/",
    "image": "/api/v1/images/{}/file/", "report": "/api/v1/reports/{}/pdf/",
    "finding": "/api/v1/findings/{}/", "delivery": "/api/v1/deliveries/{}/",
}  # fmt: skip


def timed(ask: Callable[[], object]) -> float:
    begin = time.perf_counter()
    ask()
    return (time.perf_counter() - begin) * 1000


def compared(question: str, there: list[float], nowhere: list[float]) -> bool:
    """Print the figures; return whether time tells nothing."""
    chance = random.Random(1)

    def difference() -> float:
        return statistics.median(chance.choices(there, k=len(there))) - statistics.median(
            chance.choices(nowhere, k=len(nowhere))
        )

    drawn = sorted(difference() for _ in range(2000))
    low, high = drawn[50], drawn[-51]
    median = statistics.median(nowhere)
    found = statistics.median(there) - median
    equal = low <= 0 <= high or abs(found) < SMALL * median
    line = {
        "question": question, "samples": len(there), "median_ms": round(median, 3),
        "difference_ms": round(found, 3), "interval_95": [round(low, 3), round(high, 3)],
        "equal": equal,
    }  # fmt: skip
    sys.__stdout__.write(json.dumps(line) + "\n")
    sys.__stdout__.flush()
    return equal


@pytest.mark.parametrize("noun", ADDRESSES)
def test_foreign_and_missing_take_equally_long(noun):
    owner = MembershipFactory(doctor=True)
    world = world_of(owner.clinic, owner.user)
    web = client_of(MembershipFactory(clinic=ClinicFactory(), roles=list(Role.values)))
    foreign = getattr(world, noun).pk
    taken: dict[bool, list[float]] = {True: [], False: []}
    order = [True, False] * (SAMPLES + 10)
    random.Random(2).shuffle(order)
    for number, exists in enumerate(order):
        address = ADDRESSES[noun].format(foreign if exists else uuid4())
        spent = timed(lambda address=address: web.get(address))
        if number >= 20:  # the first ones fill caches
            taken[exists].append(spent)
    assert compared(f"{noun}: foreign or missing", taken[True], taken[False])


def test_bytes_that_another_clinic_has_take_equally_long():
    owner, other = MembershipFactory(doctor=True), MembershipFactory(doctor=True)
    theirs = StudyFactory(patient=PatientFactory(clinic=owner.clinic))
    mine = StudyFactory(patient=PatientFactory(clinic=other.clinic))
    files = [to_png(pixels(seed)) for seed in range(2 * UPLOADS + 2)]
    with clinic_scope(owner.clinic_id):
        for file in files[:UPLOADS]:
            image_upload(actor=owner.user, study=theirs, data=file)
    order = [(True, file) for file in files[:UPLOADS]]
    order += [(False, file) for file in files[UPLOADS : 2 * UPLOADS]]
    random.Random(3).shuffle(order)
    taken: dict[bool, list[float]] = {True: [], False: []}
    with clinic_scope(other.clinic_id):
        for file in files[2 * UPLOADS :]:
            image_upload(actor=other.user, study=mine, data=file)
        for exists, file in order:
            spent = timed(lambda file=file: image_upload(actor=other.user, study=mine, data=file))
            taken[exists].append(spent)
    assert compared("upload: bytes another clinic has or nobody", taken[True], taken[False])
