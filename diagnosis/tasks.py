"""Celery's way in: thin tasks that claim, call a service, and classify errors once."""

import logging
import time

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import InterfaceError, OperationalError

from diagnosis.jobs import Claim, LeaseKeeper, wake_workers
from diagnosis.models import Delivery, Erasure, PriorFetch, ShadowRun
from diagnosis.services.alerts import alerts_sweep
from diagnosis.services.analysis_runs import (
    NoActiveModelError,
    analyses_sweep,
    analysis_claim_next,
    analysis_compute,
    analysis_fail,
    analysis_postpone,
    analysis_release,
    analysis_retry,
    analysis_succeed,
    models_ready,
)
from diagnosis.services.delivery_runs import (
    deliveries_sweep,
    delivery_claim_next,
    delivery_fail,
    delivery_postpone,
    delivery_retry,
    delivery_run,
)
from diagnosis.services.erasure_runs import (
    erasure_claim_next,
    erasure_postpone,
    erasure_retry_later,
    erasure_run,
    erasures_sweep,
)
from diagnosis.services.integrity import DamagedObjectError
from diagnosis.services.patient_exports import (
    patient_export_claim_next,
    patient_export_postpone,
    patient_export_retry,
    patient_export_run,
    patient_exports_sweep,
)
from diagnosis.services.prior_runs import (
    prior_fetch_claim_next,
    prior_fetch_fail,
    prior_fetch_postpone,
    prior_fetch_retry,
    prior_fetch_run,
    prior_fetches_sweep,
)
from diagnosis.services.shadow_runs import (
    shadow_claim_next,
    shadow_fail,
    shadow_postpone,
    shadow_retry,
    shadow_run,
)
from diagnosis.services.study_lateness import lateness_sweep
from diagnosis.services.validation_runs import (
    validation_claim_next,
    validation_postpone,
    validation_retry,
    validation_run,
    validations_sweep,
)
from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError
from fracture_site.common.errors import UnavailableError
from fracture_site.common.logs import log_context
from ml.contracts import ModelArtifactError, UnreadableImageError

logger = logging.getLogger(__name__)

# These may take longer than a broker waits for an answer, and a run that is lost costs nothing: it
# is acknowledged before it starts, and the next one goes on.
_HOUSEKEEPING = {"acks_late": False, "soft_time_limit": 3600, "time_limit": 3660}


@shared_task(name="diagnosis.tasks.run_next_analysis")  # type: ignore[untyped-decorator]
def run_next_analysis() -> int:
    """Analyse what is due, most urgent first; safe to deliver any number of times.

    Returns the number of claims worked on. After a while it ends and wakes the next one, so
    that limits of time and memory per task stay meaningful.
    """
    if not models_ready():
        return 0
    deadline = time.monotonic() + settings.JOB_TASK_BUDGET.total_seconds()
    worked = 0
    while (claim := analysis_claim_next()) is not None:
        began = time.monotonic()
        with log_context(analysis_id=claim.job_id, clinic_id=claim.clinic_id):
            goes_on = run_analysis(claim)
            spent = round(1000 * (time.monotonic() - began))
            logger.info("claim worked on", extra={"duration_ms": spent})
        if not goes_on:
            break
        worked += 1
        if time.monotonic() >= deadline:
            wake_workers()
            break
    return worked


def run_analysis(claim: Claim) -> bool:
    """Work on one claim to its end; every error is classified here and nowhere else.

    Final: the image or its stored bytes are unusable. Transient: storage or database do not
    answer. Unknown: everything else, tried again a few times. ``False`` when this worker should
    take no further job, because its own model is the trouble.
    """
    try:
        result = analysis_compute(claim=claim)
        if result is not None:
            analysis_succeed(claim=claim, result=result)
    except UnreadableImageError as error:
        analysis_fail(claim=claim, code=error.code)
    except DamagedObjectError:
        analysis_fail(claim=claim, code="damaged_object")
    except FileNotFoundError:
        analysis_fail(claim=claim, code="object_missing")
    except (ModelArtifactError, NoActiveModelError) as error:
        _log(claim, "model", error)
        analysis_release(claim=claim)
        return False
    except OSError as error:  # what diagnosis.storage makes of every kind of trouble
        _log(claim, "storage", error)
        analysis_postpone(claim=claim, code="storage")
    except (OperationalError, InterfaceError) as error:
        # The database itself may be away: then the lease runs out and the job is found again.
        _log(claim, "database", error)
        analysis_postpone(claim=claim, code="database")
    except SoftTimeLimitExceeded as error:
        _log(claim, "timeout", error)
        analysis_retry(claim=claim, code="timeout")
    except Exception as error:  # noqa: BLE001 - the one border: unknown errors end here
        _log(claim, "internal", error)
        analysis_retry(claim=claim, code="internal")
    return True


@shared_task(name="diagnosis.tasks.run_next_shadow")  # type: ignore[untyped-decorator]
def run_next_shadow() -> int:
    """Let shadow versions read what the active ones have read, while nothing else is due."""
    deadline = time.monotonic() + settings.JOB_TASK_BUDGET.total_seconds()
    worked = 0
    while (claim := shadow_claim_next()) is not None:
        run_shadow(claim)
        worked += 1
        if time.monotonic() >= deadline:
            wake_workers(model=ShadowRun)
            break
    return worked


def run_shadow(claim: Claim) -> None:
    """Work on one shadow run to its end; nobody waits for it, so a broken model just fails."""
    try:
        shadow_run(claim=claim)
    except UnreadableImageError as error:
        shadow_fail(claim=claim, code=error.code)
    except (DamagedObjectError, FileNotFoundError):
        shadow_fail(claim=claim, code="damaged_object")
    except ModelArtifactError as error:
        _log(claim, "model", error)
        shadow_fail(claim=claim, code="model")
    except OSError as error:
        _log(claim, "storage", error)
        shadow_postpone(claim=claim, code="storage")
    except (OperationalError, InterfaceError) as error:
        _log(claim, "database", error)
        shadow_postpone(claim=claim, code="database")
    except Exception as error:  # noqa: BLE001 - the one border: unknown errors end here
        _log(claim, "internal", error)
        shadow_retry(claim=claim, code="internal")


@shared_task(name="diagnosis.tasks.run_next_delivery")  # type: ignore[untyped-decorator]
def run_next_delivery() -> int:
    """Send what is due; safe to deliver any number of times. Returns the number of claims."""
    deadline = time.monotonic() + settings.JOB_TASK_BUDGET.total_seconds()
    worked = 0
    while (claim := delivery_claim_next()) is not None:
        run_delivery(claim)
        worked += 1
        if time.monotonic() >= deadline:
            wake_workers(model=Delivery)
            break
    return worked


def run_delivery(claim: Claim) -> None:
    """Work on one delivery to its end; every error is classified here and nowhere else."""
    try:
        delivery_run(claim=claim)
    except PeerRefusedError as error:
        delivery_fail(claim=claim, code=error.code)
    except PeerUnavailableError as error:
        delivery_postpone(claim=claim, code=error.code)
    except FileNotFoundError as error:
        _log_delivery(claim, "object_missing", error)
        delivery_fail(claim=claim, code="object_missing")
    except OSError as error:
        _log_delivery(claim, "storage", error)
        delivery_postpone(claim=claim, code="storage")
    except (OperationalError, InterfaceError) as error:
        _log_delivery(claim, "database", error)
        delivery_postpone(claim=claim, code="database")
    except SoftTimeLimitExceeded:
        delivery_postpone(claim=claim, code="timeout")
    except Exception as error:  # noqa: BLE001 - the one border: unknown errors end here
        _log_delivery(claim, "internal", error)
        delivery_retry(claim=claim, code="internal")


@shared_task(name="diagnosis.tasks.run_next_prior_fetch")  # type: ignore[untyped-decorator]
def run_next_prior_fetch() -> int:
    """Fetch earlier studies that somebody has asked for; returns the number of claims."""
    deadline = time.monotonic() + settings.JOB_TASK_BUDGET.total_seconds()
    worked = 0
    while (claim := prior_fetch_claim_next()) is not None:
        run_prior_fetch(claim)
        worked += 1
        if time.monotonic() >= deadline:
            wake_workers(model=PriorFetch)
            break
    return worked


def run_prior_fetch(claim: Claim) -> None:
    """Work on one fetch to its end; every error is classified here and nowhere else."""
    try:
        prior_fetch_run(claim=claim)
    except PeerRefusedError as error:
        prior_fetch_fail(claim=claim, code=error.code)
    except (PeerUnavailableError, UnavailableError) as error:
        prior_fetch_postpone(claim=claim, code=error.code)
    except OSError as error:
        _log_fetch(claim, "storage", error)
        prior_fetch_postpone(claim=claim, code="storage")
    except (OperationalError, InterfaceError) as error:
        _log_fetch(claim, "database", error)
        prior_fetch_postpone(claim=claim, code="database")
    except SoftTimeLimitExceeded:
        prior_fetch_postpone(claim=claim, code="timeout")
    except Exception as error:  # noqa: BLE001 - the one border: unknown errors end here
        _log_fetch(claim, "internal", error)
        prior_fetch_retry(claim=claim, code="internal")


@shared_task(name="diagnosis.tasks.run_next_validation", **_HOUSEKEEPING)  # type: ignore[untyped-decorator]
def run_next_validation() -> int:
    """Make the site validations that are due. Returns the number of claims."""
    worked = 0
    while (claim := validation_claim_next()) is not None:
        run_validation(claim)
        worked += 1
    return worked


def run_validation(claim: Claim) -> None:
    """Work on one validation to its end; every error is classified here and nowhere else."""
    try:
        validation_run(claim=claim)
    except (OperationalError, InterfaceError) as error:
        _log_job("validation", claim, "database", error)
        validation_postpone(claim=claim, code="database")
    except SoftTimeLimitExceeded as error:
        _log_job("validation", claim, "timeout", error)
        validation_retry(claim=claim, code="timeout")
    except Exception as error:  # noqa: BLE001 - the one border: unknown errors end here
        _log_job("validation", claim, "internal", error)
        validation_retry(claim=claim, code="internal")


@shared_task(name="diagnosis.tasks.run_next_erasure", **_HOUSEKEEPING)  # type: ignore[untyped-decorator]
def run_next_erasure() -> int:
    """Erase whom it is time to erase. Returns the number of claims."""
    worked = 0
    while (claim := erasure_claim_next()) is not None:
        with LeaseKeeper(Erasure, claim):
            run_erasure(claim)
        worked += 1
    return worked


def run_erasure(claim: Claim) -> None:
    """Work on one erasure to its end; every error is classified here and nowhere else."""
    try:
        erasure_run(claim=claim)
    except (OperationalError, InterfaceError) as error:
        _log_job("erasure", claim, "database", error)
        erasure_postpone(claim=claim, code="database")
    except OSError as error:
        _log_job("erasure", claim, "storage", error)
        erasure_postpone(claim=claim, code="storage")
    except SoftTimeLimitExceeded as error:
        _log_job("erasure", claim, "timeout", error)
        erasure_postpone(claim=claim, code="timeout")
    except Exception as error:  # noqa: BLE001 - the one border: unknown errors end here
        _log_job("erasure", claim, "internal", error)
        erasure_retry_later(claim=claim, code="internal")


@shared_task(name="diagnosis.tasks.run_next_patient_export", **_HOUSEKEEPING)  # type: ignore[untyped-decorator]
def run_next_patient_export() -> int:
    """Make the files of patients that were asked for. Returns the number of claims."""
    worked = 0
    while (claim := patient_export_claim_next()) is not None:
        run_patient_export(claim)
        worked += 1
    return worked


def run_patient_export(claim: Claim) -> None:
    """Work on one file to its end; every error is classified here and nowhere else."""
    try:
        patient_export_run(claim=claim)
    except (OperationalError, InterfaceError) as error:
        _log_job("export", claim, "database", error)
        patient_export_postpone(claim=claim, code="database")
    except OSError as error:
        _log_job("export", claim, "storage", error)
        patient_export_postpone(claim=claim, code="storage")
    except SoftTimeLimitExceeded as error:
        _log_job("export", claim, "timeout", error)
        patient_export_retry(claim=claim, code="timeout")
    except Exception as error:  # noqa: BLE001 - the one border: unknown errors end here
        _log_job("export", claim, "internal", error)
        patient_export_retry(claim=claim, code="internal")


@shared_task(name="diagnosis.tasks.sweep_jobs")  # type: ignore[untyped-decorator]
def sweep_jobs() -> None:
    """Wake workers for what waits too long, end what used up its attempts."""
    analyses_sweep()
    deliveries_sweep()
    prior_fetches_sweep()
    validations_sweep()
    erasures_sweep()
    patient_exports_sweep()
    alerts_sweep()


@shared_task(name="diagnosis.tasks.mark_late_studies")  # type: ignore[untyped-decorator]
def mark_late_studies() -> int:
    """Raise what waits beyond its clinic's target."""
    return lateness_sweep()


def _log(claim: Claim, code: str, error: Exception) -> None:
    _log_job("analysis", claim, code, error)


def _log_delivery(claim: Claim, code: str, error: Exception) -> None:
    _log_job("delivery", claim, code, error)


def _log_job(kind: str, claim: Claim, code: str, error: Exception) -> None:
    logger.error(
        "%s did not finish",
        kind,
        exc_info=error,
        extra={f"{kind}_id": claim.job_id, "clinic_id": claim.clinic_id, "code": code},
    )


def _log_fetch(claim: Claim, code: str, error: Exception) -> None:
    logger.error(
        "an earlier study was not fetched",
        exc_info=error,
        extra={"fetch_id": claim.job_id, "clinic_id": claim.clinic_id, "code": code},
    )
