# ruff: noqa: S311 - nothing here is a secret
"""Whether time tells what exists elsewhere: interleaved samples, one JSON line a question.

    make oracle SAMPLES=200 SEED=1

The same person asks for what another clinic has, for what it had and erased, and for what nobody
has, in random order; all must take equally long. Equal means: a bootstrap interval of the
difference of the medians holds zero, or the difference is below a twentieth of the answer's time.
Status and body are compared by ``test_tenancy_matrix.py``. Uploads of the same bytes as in another
clinic are compared, too; chance (SEED) says which pictures those are.
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
from django.utils import timezone

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Erasure, Patient
from diagnosis.services.erasure_runs import erasure_claim_next, erasure_run
from diagnosis.services.uploads import image_upload
from ml.data.synthetic import to_png
from tests.diagnosis.api.conftest import client_of, world_of
from tests.factories import ClinicFactory, MembershipFactory, PatientFactory, StudyFactory
from tests.support.dicom_studies import pixels

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(7200)]
SAMPLES = int(os.environ.get("SAMPLES", "200"))
UPLOADS = max(20, SAMPLES // 4)
DRAW = os.environ.get("DRAW", "1")
FULL = 50  # images a study
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
def test_foreign_deleted_and_missing_take_equally_long(noun):
    owner = MembershipFactory(doctor=True)
    world, gone = world_of(owner.clinic, owner.user), world_of(owner.clinic, owner.user)
    with clinic_scope(owner.clinic_id):
        Erasure.objects.filter(pk=gone.erasure.pk).update(source="restore", due_at=timezone.now())
        erasure_run(claim=erasure_claim_next())
        assert Patient.objects.get(pk=gone.patient.pk).erased_at
    web = client_of(MembershipFactory(clinic=ClinicFactory(), roles=list(Role.values)))
    named = {"foreign": getattr(world, noun).pk, "deleted": getattr(gone, noun).pk}
    taken: dict[str, list[float]] = {"foreign": [], "deleted": [], "missing": []}
    order = list(taken) * (SAMPLES + 10)
    random.Random(2).shuffle(order)
    for number, which in enumerate(order):
        address = ADDRESSES[noun].format(named.get(which) or uuid4())
        spent = timed(lambda address=address: web.get(address))
        if number >= 30:  # the first ones fill caches
            taken[which].append(spent)
    equal = [compared(f"{noun}: {it} or missing", taken[it], taken["missing"]) for it in named]
    assert all(equal)


def studies_of(member):
    """Return enough studies for all the files; one takes no more than sixty."""
    patient = PatientFactory(clinic=member.clinic)
    return [StudyFactory(patient=patient) for _ in range(2 * UPLOADS // FULL + 2)]


def test_bytes_that_another_clinic_has_take_equally_long():
    owner, other = MembershipFactory(doctor=True), MembershipFactory(doctor=True)
    theirs = studies_of(owner)
    mine = studies_of(other)
    files = [to_png(pixels(seed)) for seed in range(2 * UPLOADS + 2)]
    random.Random(DRAW).shuffle(files)  # by chance, which of the pictures the other clinic has
    with clinic_scope(owner.clinic_id):
        for number, file in enumerate(files[:UPLOADS]):
            image_upload(actor=owner.user, study=theirs[number // FULL], data=file)
    order = [(True, file) for file in files[:UPLOADS]]
    order += [(False, file) for file in files[UPLOADS : 2 * UPLOADS]]
    random.Random(3).shuffle(order)
    taken: dict[bool, list[float]] = {True: [], False: []}
    with clinic_scope(other.clinic_id):
        for file in files[2 * UPLOADS :]:
            image_upload(actor=other.user, study=mine[-1], data=file)
        for number, (exists, file) in enumerate(order):
            study = mine[number // FULL]
            spent = timed(
                lambda file=file, study=study: image_upload(
                    actor=other.user, study=study, data=file
                )
            )
            taken[exists].append(spent)
    assert compared("upload: bytes another clinic has or nobody", taken[True], taken[False])
