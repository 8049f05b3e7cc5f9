"""What a courier does with a claimed fetch: ask again, fetch what is missing, store the end, sweep.

No transaction is open while the archive is spoken to; each image is stored in one of its own.
"""

from uuid import UUID

from django.conf import settings
from django.db.models import F

from accounts.audit import audit_record
from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.jobs import Claim
from diagnosis.models import PriorFetch, Study, StudyImage
from diagnosis.services.prior_images import prior_image_receive, prior_image_skipped
from diagnosis.services.prior_lookups import person_said
from diagnosis.services.prior_matching import PersonKnown, differences, is_accepted
from diagnosis.services.prior_sources import (
    archive_open,
    is_radiograph,
    person_known,
    sends_to_listener,
)
from diagnosis.transport.archives import Archive, FoundInstance
from diagnosis.transport.errors import PeerRefusedError
from fracture_site.common.errors import DomainError, UnavailableError

WAKE_AT_MOST = 2


def prior_fetch_claim_next() -> Claim | None:
    """Take the next due fetch of any clinic; ``None`` when there is none."""
    return jobs.job_claim_next(PriorFetch)


def prior_fetch_run(*, claim: Claim) -> None:
    """Fetch what was claimed; nothing happens when the claim is stale by now.

    Raises:
        PeerRefusedError: the archive refuses, or what it has cannot be used; ``code`` says why.
        PeerUnavailableError: the archive does not answer.
        UnavailableError: our own storage or decoder does not answer.
    """
    with clinic_scope(claim.clinic_id):
        fetch = (
            jobs.job_held(PriorFetch, claim)
            .select_related("source", "study__patient")
            .defer("study__search", "study__patient__search")
            .first()
        )
        if fetch is None:
            return
        if not (fetch.source.is_enabled and fetch.source.finds_priors):
            raise PeerRefusedError("destination_off")
        known = person_known(fetch.study.patient, fetch.source)
    with jobs.LeaseKeeper(PriorFetch, claim), archive_open(fetch.source) as archive:
        wanted = _wanted(archive, fetch, known)
        with clinic_scope(claim.clinic_id):
            jobs.job_held(PriorFetch, claim).update(expected=len(wanted), done=0, skipped={})
        left = settings.PRIOR_MAX_BYTES
        for instance in wanted:
            if not _is_held(claim):
                return  # somebody else has the job
            left -= _fetch_one(archive, claim, fetch, instance, left)
    _finish(claim)


def prior_fetch_fail(*, claim: Claim, code: str) -> None:
    """End the fetch with a code that people see."""
    with clinic_scope(claim.clinic_id):
        if jobs.job_fail(PriorFetch, claim, code=code):
            _audit(claim.job_id)


def prior_fetch_retry(*, claim: Claim, code: str) -> None:
    """Put the fetch back with a growing delay, or end it after its last attempt."""
    with clinic_scope(claim.clinic_id):
        if jobs.job_retry(PriorFetch, claim, code=code):
            _audit(claim.job_id)


def prior_fetch_postpone(*, claim: Claim, code: str) -> None:
    """Put the fetch back; somebody waits for it, so it ends after minutes, not hours."""
    with clinic_scope(claim.clinic_id):
        patience = settings.PRIOR_PATIENCE
        if jobs.job_postpone(PriorFetch, claim, code=code, patience=patience):
            _audit(claim.job_id)


def prior_fetches_sweep() -> None:
    """End what used up its attempts, and wake couriers for what nobody takes."""
    lost = jobs.jobs_used_up(PriorFetch).values_list("pk", "clinic_id")[:100]
    for fetch_id, clinic_id in lost:
        with clinic_scope(clinic_id):
            if jobs.job_end_lost(PriorFetch, fetch_id):
                _audit(fetch_id)
    overdue = jobs.jobs_overdue(PriorFetch).values_list("pk")[:WAKE_AT_MOST].count()
    if overdue:
        jobs.wake_workers(model=PriorFetch, count=overdue, fill=True)


def _wanted(archive: Archive, fetch: PriorFetch, known: PersonKnown) -> list[FoundInstance]:
    """Return the radiographs of the study, after its description was checked again."""
    uid = fetch.study_instance_uid
    study = next((each for each in archive.studies(study_uid=uid) if each.uid == uid), None)
    if study is None:
        raise PeerRefusedError("prior_gone")
    if not is_accepted(differences(known, person_said(study)), fetch.confirmed):
        raise PeerRefusedError("prior_wrong_patient")
    instances = {each.uid: each for each in archive.instances(uid)}
    if not instances:
        raise PeerRefusedError("prior_empty")
    wanted = [each for each in instances.values() if is_radiograph(each)]
    if not wanted:
        raise PeerRefusedError("prior_no_radiographs")
    if len(wanted) > settings.STUDY_MAX_IMAGES:
        raise PeerRefusedError("prior_too_many")
    return wanted


def _fetch_one(
    archive: Archive, claim: Claim, fetch: PriorFetch, instance: FoundInstance, left: int
) -> int:
    """Fetch one instance unless it is here, count it, and return how many bytes it was."""
    clinic_id, size = claim.clinic_id, 0
    if not _is_here(claim, fetch, instance):
        if left <= 0:
            prior_image_skipped(clinic_id=clinic_id, fetch_id=fetch.pk, code="too_much")
            return 0
        before = _left_out(claim)
        try:
            data = archive.retrieve(instance)
            if data is not None:
                size = len(data)
                prior_image_receive(clinic_id=clinic_id, fetch_id=fetch.pk, data=data)
        except UnavailableError:
            raise
        except DomainError:
            return size  # counted with its code
        except PeerRefusedError as error:
            if error.code not in {"instance_missing", "answer_too_large", "answer_unreadable"}:
                raise
            prior_image_skipped(clinic_id=clinic_id, fetch_id=fetch.pk, code=error.code)
            return size
        if sends_to_listener(fetch.source) and not _is_here(claim, fetch, instance):
            if _left_out(claim) == before:  # else the listener has counted it
                prior_image_skipped(clinic_id=clinic_id, fetch_id=fetch.pk, code="instance_missing")
            return size
    with clinic_scope(claim.clinic_id):
        jobs.job_held(PriorFetch, claim).update(done=F("done") + 1)
    return size


def _is_held(claim: Claim) -> bool:
    with clinic_scope(claim.clinic_id):
        return bool(jobs.job_held(PriorFetch, claim).exists())


def _is_here(claim: Claim, fetch: PriorFetch, instance: FoundInstance) -> bool:
    with clinic_scope(claim.clinic_id):
        return StudyImage.objects.filter(
            sop_instance_uid=instance.uid,
            study__study_instance_uid=fetch.study_instance_uid,
            study__fetched_from__isnull=False,
            study__patient_id=fetch.study.patient_id,
        ).exists()


def _left_out(claim: Claim) -> int:
    with clinic_scope(claim.clinic_id):
        return PriorFetch.objects.get(pk=claim.job_id).left_out


def _finish(claim: Claim) -> None:
    """Store the end: what came is shown, what was left out is told beside it."""
    with clinic_scope(claim.clinic_id):
        fetch = jobs.job_held(PriorFetch, claim).first()
        if fetch is None:
            return
        if not fetch.done:
            codes = set(fetch.skipped)
            only = codes.pop() if len(codes) == 1 else ""
            raise PeerRefusedError(
                "prior_wrong_patient" if only == "wrong_patient" else "prior_nothing_usable"
            )
        prior = Study.objects.get(
            clinic_id=claim.clinic_id,
            study_instance_uid=fetch.study_instance_uid,
            fetched_from__isnull=False,
        )
        if jobs.job_succeed(PriorFetch, claim, prior=prior):
            _audit(claim.job_id)


def _audit(fetch_id: UUID) -> None:
    """Record what has ended; a fetch that is still open is not news."""
    fetch = PriorFetch.objects.select_related("study").get(pk=fetch_id)
    if fetch.is_open:
        return
    audit_record(
        actor=None,
        action=f"prior.{fetch.status}",
        clinic_id=fetch.clinic_id,
        target=fetch,
        patient_id=fetch.study.patient_id,
        source=str(fetch.source_id),
        study=str(fetch.study_id),
        prior=str(fetch.prior_id or ""),
        count=fetch.done,
        skipped=fetch.skipped,
        code=fetch.error_code,
    )
