"""Answers kept for a day, so that a client may repeat a POST whose answer it never saw."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Clinic, User
from accounts.tenancy import clinic_scope
from diagnosis.models import IdempotencyRecord
from fracture_site.common.errors import ConflictError

KEPT_FOR = timedelta(days=1)
LOCK_WAIT = "10s"  # less than the statement time-out, so that the error is the lock's own
_LOCK_NOT_AVAILABLE = "55P03"


def idempotency_begin(
    *, actor: User, clinic_id: UUID, key: str, request_sha256: str
) -> IdempotencyRecord | None:
    """Claim ``key`` until the transaction ends; return the stored answer if there is one.

    A second request with the same key waits here for the first, so that exactly
    one of them has an effect.

    Raises:
        ConflictError: ``idempotency_key_reused`` for another request, or
            ``idempotency_key_in_use`` when the first request takes too long.
    """
    _lock(f"idempotency/{clinic_id}/{actor.pk}/{key}")
    _delete_old()
    record = IdempotencyRecord.objects.filter(
        clinic_id=clinic_id, user_id=actor.pk, key=key
    ).first()
    if record is not None and record.request_sha256 != request_sha256:
        raise ConflictError(
            "idempotency_key_reused",
            _("This Idempotency-Key was sent with another request. Use a new key."),
        )
    return record


def idempotency_store(
    *,
    actor: User,
    clinic_id: UUID,
    key: str,
    request_sha256: str,
    status_code: int,
    body: dict[str, Any],
) -> None:
    """Keep the answer in the transaction of the change that it answers."""
    IdempotencyRecord.objects.create(
        clinic_id=clinic_id,
        user_id=actor.pk,
        key=key,
        request_sha256=request_sha256,
        status_code=status_code,
        body=body,
    )


def idempotency_expire() -> int:
    """Delete the old answers of all clinics and return how many there were.

    Answers hold what their requests made, so they may not stay because a clinic posts no more.
    """
    count = 0
    for clinic_id in Clinic.objects.values_list("pk", flat=True):
        with clinic_scope(clinic_id):
            count += _delete_old()
    return count


def _delete_old() -> int:
    """Delete the current clinic's; row-level security hides all others."""
    count, _per_model = IdempotencyRecord.objects.filter(
        created_at__lt=timezone.now() - KEPT_FOR
    ).delete()
    return count


def _lock(name: str) -> None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            before = cursor.fetchone()[0]
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_WAIT])
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", "") != _LOCK_NOT_AVAILABLE:
            raise
        raise ConflictError(
            "idempotency_key_in_use",
            _("A request with this Idempotency-Key is still being worked on. Try again soon."),
        ) from error
