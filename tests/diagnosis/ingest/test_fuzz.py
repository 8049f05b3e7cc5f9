"""Some hundred files that are wrong in their structure, through every door; `make fuzz`: 10,000."""

import random

import pytest

from accounts.tenancy import clinic_scope
from diagnosis.ingest.sandbox import sandbox
from diagnosis.models import StudyImage
from diagnosis.services.orphans import orphans_find
from diagnosis.storage import object_delete
from tests.support.bombs import FILES
from tests.support.fuzz_doors import _AT_ONCE, Doors, StoreScu, Verdict, send_all
from tests.support.listener import Listener
from tests.support.mutations import dicom_mutant, fresh, mutant, seeds

pytestmark = pytest.mark.django_db(transaction=True)
SEED = 20261120
BUSY_S = 60.0  # the suite shares its machine; `make fuzz` and `make bombs` hold 5 seconds


@pytest.fixture
def doors(transactional_db):
    for key in orphans_find(settled_after=_AT_ONCE):  # of tests before
        object_delete(key)
    return Doors()


def some(count: int, make=mutant, seed: int = SEED):
    rng = random.Random(seed)  # noqa: S311 - repeatable, no secret
    return [make(rng) for _ in range(count)]


def test_good_files_are_taken_by_every_door(doors):
    verdict = Verdict(limit_s=BUSY_S)
    rng = random.Random(SEED)  # noqa: S311 - repeatable, no secret
    send_all(doors, [(kind, fresh(kind, rng)) for kind in seeds()], doors.by_api, verdict)
    assert verdict.is_fine, verdict
    assert verdict.answers == {"201": len(seeds())}
    assert verdict.served == len(seeds())


@pytest.mark.parametrize(("door", "count"), [("api", 40), ("page", 10), ("stow", 25)])
def test_wrong_files_are_stored_clean_or_refused_and_leave_nothing(doors, door, count):
    verdict = Verdict(limit_s=BUSY_S)
    make = dicom_mutant if door == "stow" else mutant
    send_all(doors, some(count, make), getattr(doors, f"by_{door}"), verdict)
    assert verdict.is_fine, verdict
    refused = sum(n for code, n in verdict.answers.items() if code >= "400")
    assert count > refused > count // 4


def test_bombs_are_refused_in_time_and_cost_little(doors):
    """The slow and the large ones; `make bombs` sends all of them through every door."""
    verdict = Verdict(limit_s=BUSY_S)
    few = (
        "jpeg-scans", "nested-5000", "j2k-huge", "rle-many-frames", "native-frames", "elements",
        "svg-laughs", "htj2k-size", "tiff-strips",
    )  # fmt: skip
    files = [(name, FILES[name]()) for name in few]
    send_all(doors, files, doors.by_api, verdict)
    assert verdict.is_fine, verdict
    assert set(verdict.answers) <= {"413", "422"}
    assert len(FILES) >= 30
    assert sandbox.child_peak_kib < 1536 * 1024


def test_the_listener_refuses_them_as_well_and_goes_on(doors, tmp_path):
    listener = Listener().start()
    scu, verdict, rng = StoreScu(doors, listener), Verdict(limit_s=BUSY_S), random.Random(SEED)  # noqa: S311
    try:
        send_all(doors, some(25, dicom_mutant), lambda data: scu.send(data, rng), verdict)
        assert verdict.answers["0x0000"]
        scu.close()
    finally:
        listener.stop()
    assert verdict.is_fine, verdict
    with clinic_scope(doors.member.clinic_id):
        assert StudyImage.objects.exists()
