"""What a worker does with site validations: claim, compute, store, give back, sweep."""

from typing import Any

from accounts.audit import audit_record
from accounts.models import Clinic
from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.jobs import Claim
from diagnosis.models import SiteValidation
from diagnosis.selectors.validation_cases import (
    LEFT_OUT,
    ValidationCases,
    validation_cases,
)
from diagnosis.site_figures import POINTS, site_figures

MISSED_AT_MOST = 200


def validation_claim_next() -> Claim | None:
    """Take the validation that waits longest; ``None`` when there is none."""
    return jobs.job_claim_next(SiteValidation)


def validation_run(*, claim: Claim) -> None:
    """Compare and store; nothing happens when the claim is stale by now.

    No transaction is open while intervals are computed.
    """
    with clinic_scope(claim.clinic_id):
        row = jobs.job_held(SiteValidation, claim).select_related("model_version").first()
        if row is None:
            return
        clinic = Clinic.objects.get(pk=claim.clinic_id)
        cases = validation_cases(
            clinic=clinic, version=row.model_version, first=row.first, last=row.last
        )
    told = 0

    def progress(percent: int) -> None:
        nonlocal told
        if percent >= told + 5:
            told = percent
            with clinic_scope(claim.clinic_id):
                jobs.job_held(SiteValidation, claim).update(progress=min(percent, 99))

    with jobs.LeaseKeeper(SiteValidation, claim):
        result = _result(row, cases) | site_figures(cases.compared, progress=progress)
    with clinic_scope(claim.clinic_id):
        if jobs.job_succeed(SiteValidation, claim, result=result, progress=100):
            _audit(claim)


def validation_retry(*, claim: Claim, code: str) -> None:
    """Put the validation back with a growing delay, or end it after its last attempt."""
    with clinic_scope(claim.clinic_id):
        if jobs.job_retry(SiteValidation, claim, code=code):
            _audit(claim)


def validation_postpone(*, claim: Claim, code: str) -> None:
    """Put the validation back until the database answers again."""
    with clinic_scope(claim.clinic_id):
        if jobs.job_postpone(SiteValidation, claim, code=code):
            _audit(claim)


def validations_sweep() -> None:
    """End what used up its attempts, and wake a worker for what nobody takes."""
    lost = jobs.jobs_used_up(SiteValidation).values_list("pk", "clinic_id")[:100]
    for job_id, clinic_id in list(lost):
        with clinic_scope(clinic_id):
            jobs.job_end_lost(SiteValidation, job_id)
    if jobs.jobs_overdue(SiteValidation).exists():
        jobs.wake_workers(model=SiteValidation, fill=True)


def _result(row: SiteValidation, cases: ValidationCases) -> dict[str, Any]:
    version = row.model_version
    missed = [
        case
        for case in cases.compared
        if case.fractured and case.verdict not in POINTS["suspicion"]
    ]
    missed.sort(key=lambda case: (case.probability, str(case.study_id)))
    return {
        "model": {"name": version.name, "version": version.version, "sha256": version.sha256},
        "thresholds": {
            "suspicion": version.threshold_suspicion,
            "definite": version.threshold_definite,
        },
        "studies": cases.studies,
        "left_out": {reason: cases.left_out[reason] for reason in LEFT_OUT},
        "missed_count": len(missed),
        "missed": [
            {
                "study": str(case.study_id),
                "probability": round(case.probability, 4),
                "region": case.region,
            }
            for case in missed[:MISSED_AT_MOST]
        ],
    }


def _audit(claim: Claim) -> None:
    """Record an end; a validation that is still open is not news."""
    row = SiteValidation.objects.get(pk=claim.job_id)
    if row.is_open:
        return
    audit_record(
        actor=None,
        action=f"validation.{row.status}",
        clinic_id=row.clinic_id,
        target=row,
        code=row.error_code,
    )
