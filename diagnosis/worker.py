"""The life of a worker process: load the model, register it, sweep and seal from a thread.

The thread lives in the pool's children, which never fork, and not in the parent, which does.
It makes recovery independent of beat: as long as one worker process lives, jobs that nobody takes
are found again, whatever happened to the broker.
"""

import logging
import threading
import time
from typing import Any

from celery import current_app
from celery.signals import worker_init, worker_process_init, worker_process_shutdown
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from accounts.audit_chain import chains_seal
from accounts.checks import refuse_unbound_role
from diagnosis.inference import ModelArtifactError
from diagnosis.services.alerts import alerts_sweep
from diagnosis.services.analysis_runs import analyses_sweep, models_ready
from diagnosis.services.audit_anchors import anchors_write
from diagnosis.services.delivery_runs import deliveries_sweep
from diagnosis.services.model_stages import shipped_sync
from diagnosis.services.prior_runs import prior_fetches_sweep
from diagnosis.services.shadow_runs import shadows_sweep
from diagnosis.services.validation_runs import validations_sweep
from fracture_site.common.errors import DomainError

logger = logging.getLogger(__name__)

_stopping = threading.Event()


def start_worker(**_kwargs: Any) -> None:
    """Refuse to start, before the fork, as a database role that sees all clinics."""
    try:
        refuse_unbound_role()
    except ImproperlyConfigured as error:
        # Celery logs any other exception of a signal's receiver and goes on.
        raise SystemExit(f"error: {error}") from error


def start_process(**_kwargs: Any) -> None:
    """Load the models in use before the first job, then start sweeping.

    After a fork on purpose: a model that is loaded before one may hang its children.
    """
    _limit_sessions()
    if _analyses():
        _prepare_models()
    _stopping.clear()
    threading.Thread(target=_sweep_for_ever, name="sweeper", daemon=True).start()


def stop_process(**_kwargs: Any) -> None:
    """Let the sweeper end."""
    _stopping.set()


def _analyses() -> bool:
    """Return whether this worker runs analyses; a courier needs no model."""
    return current_app.conf.task_default_queue in current_app.amqp.queues.consume_from


def _limit_sessions() -> None:
    """Let no frozen worker hold locks that others wait for: its session ends, theirs give up.

    Ten seconds without a statement inside a transaction is a machine that stands still; every
    transaction of a worker takes milliseconds. Behind pgbouncer sessions are shared: there the
    entry that workers connect to sets this (docs/runbooks/pgbouncer.md).
    """
    if settings.DB_PGBOUNCER:
        return
    connection.close()
    options = connection.settings_dict["OPTIONS"]
    options["options"] = (
        f"{options.get('options', '')} "
        "-c lock_timeout=5000 -c idle_in_transaction_session_timeout=10000"
    )


def _prepare_models() -> None:
    try:
        shipped_sync()
        models_ready()
    except (DatabaseError, DomainError, ModelArtifactError, OSError):
        logger.exception("the model could not be registered")
    finally:
        connection.close()


def _sweep_for_ever() -> None:
    interval = settings.JOB_SWEEP_INTERVAL.total_seconds()
    anchored_at = float("-inf")
    while not _stopping.wait(interval):
        try:
            analyses_sweep()
            deliveries_sweep()
            prior_fetches_sweep()
            shadows_sweep()
            validations_sweep()
            alerts_sweep()
            chains_seal()
            if time.monotonic() - anchored_at >= settings.AUDIT_ANCHOR_INTERVAL_S:
                anchored_at = time.monotonic()
                anchors_write()
        except DatabaseError as error:
            logger.warning("no sweep", extra={"code": type(error).__name__})
        except OSError:
            logger.exception("heads of the audit trail were not kept", extra={"code": "storage"})
        except Exception:
            logger.exception("a sweep failed")
        finally:
            connection.close()  # this thread's own


worker_init.connect(start_worker)
worker_process_init.connect(start_process)
worker_process_shutdown.connect(stop_process)
