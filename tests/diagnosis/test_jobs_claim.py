"""Who gets which job: exactly one winner, in the right order, never a job of yesterday's lease."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from django.db import ProgrammingError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.jobs import Claim
from diagnosis.models import Analysis, Priority
from tests.factories import AnalysisFactory, ClinicFactory, StudyImageFactory
from tests.support.database import vacuum
from tests.support.many_studies import many_queued

pytestmark = pytest.mark.django_db


def change(analysis: Analysis, **values) -> None:
    with clinic_scope(analysis.clinic_id):
        Analysis.objects.filter(pk=analysis.pk).update(**values)


def fresh(analysis: Analysis) -> Analysis:
    with clinic_scope(analysis.clinic_id):
        return Analysis.objects.get(pk=analysis.pk)


def expire(analysis: Analysis) -> None:
    change(analysis, lease_expires_at=Now() - timedelta(seconds=1))


def claim_next() -> Claim | None:
    return jobs.job_claim_next(Analysis)


def claim_with(token: UUID) -> UUID:
    with connection.cursor() as cursor:
        cursor.execute("SELECT claimed_id FROM diagnosis_analysis_claim(%s, '20 s', 3)", [token])
        return cursor.fetchone()[0]


def finish(claim: Claim) -> None:
    """End the job as a worker does that cannot read the image."""
    with clinic_scope(claim.clinic_id):
        assert jobs.job_fail(Analysis, claim, code="unreadable")


def in_clinic(clinic, **values) -> Analysis:
    image = StudyImageFactory(study__patient__clinic=clinic)
    return AnalysisFactory(image=image, **values)


def test_nothing_due_is_no_claim():
    AnalysisFactory(succeeded=True)
    AnalysisFactory(failed=True)

    assert claim_next() is None


def test_a_claim_leases_the_job_and_counts_the_attempt():
    analysis = AnalysisFactory()

    before = timezone.now()
    claim = claim_next()
    after = timezone.now()

    row = fresh(analysis)
    assert claim == Claim(job_id=analysis.pk, clinic_id=analysis.clinic_id, token=row.token)
    assert (row.status, row.attempts) == ("running", 1)
    assert row.started_at is not None
    lease = timedelta(seconds=20)
    assert before + lease <= row.lease_expires_at <= after + lease


def test_a_running_job_is_not_claimed_twice():
    AnalysisFactory()
    assert claim_next() is not None

    assert claim_next() is None


def test_a_job_that_is_due_later_waits():
    AnalysisFactory(due_at=timezone.now() + timedelta(minutes=1))

    assert claim_next() is None


def test_an_expired_lease_is_taken_over_with_a_new_token():
    analysis = AnalysisFactory()
    first = claim_next()
    expire(analysis)

    second = claim_next()

    assert second.job_id == first.job_id
    assert second.token != first.token
    assert fresh(analysis).attempts == 2


def test_a_job_without_attempts_left_is_never_claimed():
    analysis = AnalysisFactory()
    for _ in range(3):
        assert claim_next() is not None
        expire(analysis)

    assert claim_next() is None


def test_more_urgent_jobs_go_first_whatever_their_age():
    routine = AnalysisFactory(priority=Priority.ROUTINE)
    urgent = AnalysisFactory(priority=Priority.URGENT)
    stat = AnalysisFactory(priority=Priority.STAT)

    assert [claim_next().job_id for _ in range(3)] == [stat.pk, urgent.pk, routine.pk]


def test_within_a_clinic_older_jobs_go_first():
    clinic = ClinicFactory()
    now = timezone.now()
    young = in_clinic(clinic, due_at=now - timedelta(seconds=1))
    old = in_clinic(clinic, due_at=now - timedelta(minutes=5))

    assert [claim_next().job_id for _ in range(2)] == [old.pk, young.pk]


def test_one_clinics_import_does_not_starve_another():
    importing, other = ClinicFactory(), ClinicFactory()
    now = timezone.now()
    for minute in range(6):
        in_clinic(importing, due_at=now - timedelta(hours=1, minutes=minute))
    in_clinic(other, due_at=now - timedelta(seconds=2))
    in_clinic(other, due_at=now - timedelta(seconds=1))

    clinics = [claim_next().clinic_id for _ in range(4)]

    assert clinics.count(importing.pk) == clinics.count(other.pk) == 2


def test_clinics_take_turns_even_at_a_single_worker():
    """It never has a job running when it claims: only turns keep an import from going first."""
    importing, other, third = ClinicFactory(), ClinicFactory(), ClinicFactory()
    now = timezone.now()
    for minute in range(6):
        in_clinic(importing, due_at=now - timedelta(hours=1, minutes=minute))
    for second in (3, 2):
        in_clinic(other, due_at=now - timedelta(seconds=second))
        in_clinic(third, due_at=now - timedelta(seconds=second))

    order = []
    while (claim := claim_next()) is not None:
        order.append(claim.clinic_id)
        finish(claim)

    assert len(order) == 10
    assert set(order[:3]) == set(order[3:6]) == {importing.pk, other.pk, third.pk}


def test_a_stream_of_emergencies_does_not_stop_what_has_waited_for_long():
    emergency = ClinicFactory()
    stat = [in_clinic(emergency, priority=Priority.STAT) for _ in range(4)]
    old = AnalysisFactory(priority=Priority.ROUTINE, due_at=timezone.now() - timedelta(minutes=16))
    young = AnalysisFactory(priority=Priority.URGENT, due_at=timezone.now() - timedelta(minutes=14))

    patient, usual = UUID(int=uuid4().int & ~0xFF), UUID(int=uuid4().int | 0xFF)
    assert claim_with(usual) in {row.pk for row in stat}
    assert claim_with(patient) == old.pk
    assert claim_with(UUID(int=patient.int + 1)) in {row.pk for row in stat}  # nothing is overdue
    rest = [claim_next().job_id for _ in range(3)]
    assert rest[-1] == young.pk


@pytest.mark.django_db(transaction=True)
def test_a_claim_among_many_waiting_jobs_reads_a_few_pages():
    """Counted in pages, not seconds: it must not read the queue, however long that is."""
    clinics = [ClinicFactory() for _ in range(3)]
    for clinic, count in zip(clinics, (6000, 40, 1), strict=True):
        many_queued(clinic=clinic, count=count)
    vacuum("diagnosis_analysis")

    pages = []
    for _ in range(30):
        with connection.cursor() as cursor:
            cursor.execute(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
                "SELECT * FROM diagnosis_analysis_claim(gen_random_uuid(), '20 s', 3)"
            )
            plan = cursor.fetchone()[0][0]["Plan"]
        assert plan["Actual Rows"] == 1
        pages.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

    assert max(pages[1:]) < 250  # of about 600 that the table has


def test_a_dead_workers_lease_does_not_count_as_a_running_job_of_its_clinic():
    crashed, other = ClinicFactory(), ClinicFactory()
    now = timezone.now()
    dead = in_clinic(crashed, due_at=now - timedelta(minutes=2))
    assert claim_next().job_id == dead.pk
    expire(dead)
    in_clinic(other, due_at=now - timedelta(minutes=1))

    assert claim_next().job_id == dead.pk


def test_the_function_tells_a_clinics_id_and_the_jobs_but_nothing_else():
    AnalysisFactory()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM diagnosis_analysis_claim(%s, '20 s', 3)",
            [uuid4()],
        )
        columns = [column.name for column in cursor.description]

    assert columns == ["claimed_id", "claimed_clinic_id"]


def test_the_function_cannot_be_replaced_by_the_application_role():
    with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER FUNCTION diagnosis_analysis_claim(uuid, interval, int) COST 1")


def test_the_function_is_not_open_to_everybody():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proconfig, prosecdef, pg_get_userbyid(proowner), proacl::text FROM pg_proc "
            "WHERE proname = 'diagnosis_analysis_claim'"
        )
        settings, definer, owner, rights = cursor.fetchone()

    assert definer
    assert owner == "fracture_lookup"
    assert "search_path=pg_catalog, pg_temp" in settings
    # An entry that starts with "=" would be PUBLIC.
    assert not any(entry.startswith("=") for entry in rights.strip("{}").split(","))


@pytest.mark.django_db(transaction=True)
def test_of_many_simultaneous_claims_one_wins():
    AnalysisFactory()
    barrier = Barrier(6)

    def claim(_number: int) -> bool:
        barrier.wait()
        try:
            return claim_next() is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(claim, range(6))) == 1


@pytest.mark.django_db(transaction=True)
def test_many_workers_share_many_jobs_without_missing_or_doubling_one():
    clinics = [ClinicFactory() for _ in range(3)]
    expected = {in_clinic(clinics[n % 3]).pk for n in range(30)}

    def drain(_number: int) -> list:
        found = []
        try:
            while (claim := claim_next()) is not None:
                found.append(claim.job_id)
        finally:
            connection.close()
        return found

    with ThreadPoolExecutor(5) as pool:
        claimed = [job for found in pool.map(drain, range(5)) for job in found]

    assert len(claimed) == 30
    assert set(claimed) == expected
