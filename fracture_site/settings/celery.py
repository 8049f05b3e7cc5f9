"""Celery: the broker only wakes workers up; the job row in PostgreSQL is the truth."""

from datetime import timedelta

from celery.schedules import crontab

from fracture_site.settings.env import env_int, env_secret, env_str

REDIS_URL = env_secret("REDIS_URL", "redis://localhost:6379/0")


def _broker_url(redis_url: str) -> str:
    """Return kombu's spelling of redis-py's unix socket URL."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    database = query.removeprefix("db=") or "0"
    return f"redis+socket://{path}?virtual_host={database}"


JOB_MAX_ATTEMPTS = env_int("JOB_MAX_ATTEMPTS", default=3, minimum=1)
JOB_LEASE = timedelta(seconds=env_int("JOB_LEASE_S", default=20, minimum=2))
JOB_LEASE_RENEWAL = JOB_LEASE / 4
JOB_RETRY_DELAY = timedelta(seconds=env_int("JOB_RETRY_DELAY_S", default=5, minimum=0))
JOB_TRANSIENT_PATIENCE = timedelta(minutes=env_int("JOB_TRANSIENT_PATIENCE_MIN", default=15))
# While the oldest analysis waits longer than this, programs and devices are told to send later;
# what is urgent and what people upload on a page is always taken. 0: nothing is refused.
INTAKE_MAX_QUEUE_AGE = timedelta(seconds=env_int("INTAKE_MAX_QUEUE_AGE_S", default=600))
# An object store that is away must not end an erasure: what was promised is done in the end.
ERASURE_PATIENCE = timedelta(days=env_int("ERASURE_PATIENCE_D", default=14, minimum=1))
JOB_TASK_BUDGET = timedelta(seconds=5)  # then the task ends and wakes the next one
JOB_SWEEP_INTERVAL = timedelta(seconds=env_int("JOB_SWEEP_INTERVAL_S", default=5, minimum=1))

# A peer may be away for a night; then people see "failed" and can send again.
DELIVERY_PATIENCE = timedelta(hours=env_int("DELIVERY_PATIENCE_H", default=24, minimum=1))
DELIVERY_LONGEST_PAUSE = timedelta(seconds=env_int("DELIVERY_LONGEST_PAUSE_S", default=300))
DELIVERY_TIMEOUT_S = env_int("DELIVERY_TIMEOUT_S", default=30, minimum=1)  # of one answer
# Earlier studies from an archive: somebody waits at the screen.
PRIOR_PATIENCE = timedelta(minutes=env_int("PRIOR_PATIENCE_MIN", default=5, minimum=1))
PRIOR_MAX_BYTES = env_int("PRIOR_MAX_BYTES", default=2**30, minimum=2**20)  # of one study

CELERY_BROKER_URL = env_secret("CELERY_BROKER_URL", _broker_url(REDIS_URL))
CELERY_TASK_IGNORE_RESULT = True  # the job row is the result
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]  # never pickle
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # the job table re-queues; True loops on a poison file
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_TIME_LIMIT = env_int("ANALYSIS_TIME_LIMIT_S", default=120, minimum=10)
CELERY_TASK_SOFT_TIME_LIMIT = int(CELERY_TASK_TIME_LIMIT * 0.9)
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = (
    {
        # Redis redelivers an unacknowledged message after this; it must outlast the task.
        "visibility_timeout": CELERY_TASK_TIME_LIMIT * 2,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,  # kombu otherwise looks for lost messages every 100 s
        "socket_timeout": 5,
        "socket_connect_timeout": 1,
        "health_check_interval": 10,
    }
    if CELERY_BROKER_URL.startswith("redis")
    else {"confirm_publish": True}
)
# A wake-up is a hint that an upload must not wait for: one try of half a second.
JOB_WAKE_TRANSPORT_OPTIONS: dict[str, object] = {
    "max_retries": 0,
    "connect_retries_timeout": 0.5,
    **(
        {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
        if CELERY_BROKER_URL.startswith("redis")
        else {"read_timeout": 0.5, "write_timeout": 0.5}
    ),
}
# A slow peer must not keep the analyses waiting: deliveries have a queue and a worker of their own.
CELERY_TASK_ROUTES = {  # the courier's: whatever waits for systems outside
    "diagnosis.tasks.run_next_delivery": {"queue": "deliveries"},
    "diagnosis.tasks.run_next_prior_fetch": {"queue": "deliveries"},
    # Takes seconds to minutes and needs no model.
    "diagnosis.tasks.run_next_validation": {"queue": "deliveries"},
    "diagnosis.tasks.run_next_erasure": {"queue": "deliveries"},
    "diagnosis.tasks.run_next_patient_export": {"queue": "deliveries"},
}
CELERY_TIMEZONE = env_str("TIME_ZONE", "UTC")  # nights are nights of the site
CELERY_BEAT_SCHEDULE = {
    "sweep-jobs": {
        "task": "diagnosis.tasks.sweep_jobs",
        "schedule": JOB_SWEEP_INTERVAL,
        "options": {"expires": JOB_SWEEP_INTERVAL.total_seconds() * 4},
    },
    "mark-late-studies": {
        "task": "diagnosis.tasks.mark_late_studies",
        "schedule": 60.0,
        "options": {"expires": 240},
    },
    # Housekeeping, each safe to repeat. What no worker takes in time is left to the next run.
    "expire-idempotency": {
        "task": "diagnosis.tasks.expire_idempotency",
        "schedule": crontab(minute="17"),
        "options": {"expires": 3000},
    },
    "expire-uploads": {
        "task": "diagnosis.tasks.expire_uploads",
        "schedule": crontab(minute="37"),
        "options": {"expires": 3000},
    },
    "collect-orphans": {
        "task": "diagnosis.tasks.collect_orphans",
        "schedule": crontab(hour="1", minute="23"),
        "options": {"expires": 6 * 3600},
    },
    "verify-objects": {
        "task": "diagnosis.tasks.verify_objects",
        "schedule": crontab(hour="2", minute="23"),
        "options": {"expires": 6 * 3600},
    },
    "back-up": {
        "task": "diagnosis.tasks.take_backup",
        "schedule": crontab(hour="0", minute="23"),
        "options": {"expires": 6 * 3600},
    },
    "propose-erasures": {
        "task": "diagnosis.tasks.propose_erasures",
        "schedule": crontab(hour="4", minute="23"),
        "options": {"expires": 6 * 3600},
    },
    "verify-audit-trail": {
        "task": "diagnosis.tasks.verify_audit_trail",
        "schedule": crontab(hour="3", minute="23"),
        "options": {"expires": 6 * 3600},
    },
}
