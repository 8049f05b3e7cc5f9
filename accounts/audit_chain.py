"""The audit trail as chains, one per clinic and one for events without a clinic: seal and verify.

An event is inserted without a place, so that no request waits for another one's transaction, but
with a proof: a code over its content that only the site can make, because the key is not in the
database. Every few seconds the events that are committed get the next places in their chain, each
with a digest over itself and everything before it, and a proof of that digest. The heads of the
chains are kept outside of the database (``diagnosis.services.audit_anchors``). Up to such a head
the digests tell every change, whoever made it and whatever keys are known; after it, the proofs
do. Only taking away the newest events, before a head that covers them was kept, can go unnoticed.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import accumulate
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.db.models import QuerySet

from accounts.audit_event import AuditEvent
from accounts.tenancy import clinic_scope

# What is hashed never changes its form: another one would need another number, kept with the rows.
_FORM: Final = 1
_AT_ONCE: Final = 1000
_ROUNDS: Final = 50


@dataclass(frozen=True, slots=True)
class Head:
    """Up to where a chain was complete at some time."""

    place: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first thing that is wrong in a chain.

    ``code``: ``altered`` (an event is not what was sealed), ``missing`` (events were taken out
    before this one), ``cut`` (events were taken off the end), ``rewritten`` (the chain is whole
    in itself but is not the one whose head was kept), ``forged`` (the site did not write this).
    """

    code: str
    place: int | None
    event_id: int | None


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What was found in one chain; ``head`` is the last event that is in order."""

    sealed: int
    waiting: int
    head: Head
    flaw: Flaw | None


def event_proof(event: AuditEvent) -> bytes:
    """Return the code that proves that the site wrote this event, before it is sealed."""
    return _prove(_content(event))


def is_proven(event: AuditEvent) -> bool:
    """Tell whether the site wrote, or sealed, this event as it is, with its key or a former one."""
    said = _content(event) if event.place is None else bytes(event.digest or b"")
    return any(
        hmac.compare_digest(hmac.digest(key, said, "sha256"), bytes(event.proof)) for key in _keys()
    )


def beginning(clinic_id: UUID | None) -> Head:
    """Return where a chain begins; no chain can be passed off as another one's."""
    return Head(0, hashlib.sha256(f"fracture-site audit {clinic_id}".encode()).digest())


def chains_waiting() -> list[UUID | None]:
    """Return the clinics (``None``: no clinic) whose chains have events to seal."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT waiting_clinic_id FROM accounts_audit_waiting()")
        return [row[0] for row in cursor.fetchall()]


def chains_seal() -> int:
    """Seal what is committed in every chain and return how many events that were.

    Any number of processes may run this at the same time: each chain is sealed by one of them.
    """
    sealed = 0
    for clinic_id in chains_waiting():
        for _round in range(_ROUNDS):
            with clinic_scope(clinic_id):
                count = chain_seal(AuditEvent.objects.all(), clinic_id)
            sealed += count
            if count < _AT_ONCE:
                break
    return sealed


def chain_seal(
    events: "QuerySet[AuditEvent]", clinic_id: UUID | None, *, unproven: bool = False
) -> int:
    """Give places to waiting events, oldest first; call it in the scope of the clinic.

    An event without a right proof stays without a place and is found by ``chain_verify``;
    ``unproven`` takes those in that were written before there were proofs.
    """
    chain = _of(events, clinic_id)
    with connections[events.db].cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"audit {clinic_id}"]
        )
        if not cursor.fetchone()[0]:
            return 0
        head = _head(chain, clinic_id)
        waiting = [
            event
            for event in chain.filter(place__isnull=True).order_by("id")[:_AT_ONCE]
            if unproven or is_proven(event)
        ]
        heads = list(accumulate(waiting, _next, initial=head))[1:]
        cursor.execute(
            "UPDATE accounts_auditevent e SET place = s.place, digest = s.digest, proof = s.proof "
            "FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[]) "
            "AS s (id, place, digest, proof) WHERE e.id = s.id",
            [
                [event.pk for event in waiting],
                [head.place for head in heads],
                [head.digest for head in heads],
                [b"" if unproven else _prove(head.digest) for head in heads],
            ],
        )
    return len(waiting)


def chain_verify(
    events: "QuerySet[AuditEvent]",
    clinic_id: UUID | None,
    *,
    kept: Sequence[Head] = (),
    after: Head | None = None,
) -> ChainReport:
    """Check a chain, or what follows ``after``; call it in the scope of the clinic.

    ``kept`` are the heads that were kept outside, read *before* this is called: the chain may
    have grown since, and must not have shrunk. Sealed events after the last of them need their
    proof; without any (a trail from before there were proofs) an empty one is let through.
    """
    chain = _of(events, clinic_id)
    known = {head.place: head.digest for head in kept}
    covered = max(known, default=0)
    head, flaw = after or beginning(clinic_id), None
    for event in _sealed(chain, head.place):
        flaw = _flaw(event, head, known, covered)
        if flaw:
            break
        head = _next(head, event)
    if flaw is None and head.place < covered:
        flaw = Flaw("cut", head.place + 1, None)
    waiting = 0
    for event in chain.filter(place__isnull=True).order_by("id").iterator(_AT_ONCE):
        waiting += 1
        if flaw is None and not is_proven(event):
            flaw = Flaw("forged", None, event.pk)
    return ChainReport(sealed=head.place, waiting=waiting, head=head, flaw=flaw)


def _flaw(event: AuditEvent, before: Head, known: dict[int, bytes], covered: int) -> Flaw | None:
    """Return what is wrong with a sealed event that should follow ``before``."""
    place = event.place or 0
    head = _next(before, event)
    if place != head.place:
        return Flaw("missing", head.place, event.pk)
    if bytes(event.digest or b"") != head.digest:
        return Flaw("altered", place, event.pk)
    if known.get(place, head.digest) != head.digest:
        return Flaw("rewritten", place, event.pk)
    old = not known and not event.proof
    if place > covered and not old and not is_proven(event):
        return Flaw("forged", place, event.pk)
    return None


def _of(events: "QuerySet[AuditEvent]", clinic_id: UUID | None) -> "QuerySet[AuditEvent]":
    return events.filter(clinic_id=clinic_id) if clinic_id else events.filter(clinic__isnull=True)


def _head(chain: "QuerySet[AuditEvent]", clinic_id: UUID | None) -> Head:
    last = chain.filter(place__isnull=False).order_by("-place").only("place", "digest").first()
    if last is None or last.place is None:
        return beginning(clinic_id)
    return Head(last.place, bytes(last.digest or b""))


def _sealed(chain: "QuerySet[AuditEvent]", after: int) -> Iterator[AuditEvent]:
    return chain.filter(place__gt=after).order_by("place").iterator(chunk_size=_AT_ONCE)


def _next(head: Head, event: AuditEvent) -> Head:
    place = head.place + 1
    parts = (head.digest, place.to_bytes(8, "big"), _content(event))
    return Head(place, hashlib.sha256(b"".join(parts)).digest())


def _prove(content: bytes) -> bytes:
    return hmac.digest(_keys()[0], content, "sha256")


def _content(event: AuditEvent) -> bytes:
    """Return everything that an event says, in a form that a database and back does not change."""
    values = [
        _FORM,
        event.pk,
        event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        *(
            value and str(value)
            for value in (event.actor_id, event.token_id, event.clinic_id, event.action,
                          event.outcome, event.target_type, event.target_id, event.patient_id)
        ),
        _plain(event.details),
    ]  # fmt: skip
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    """Write numbers in the one way that survives PostgreSQL's own: 1.0 and 1e20 are whole."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _keys() -> list[bytes]:
    """Return the present key and former ones, made from the site's secret keys."""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [hashlib.sha256(f"audit trail:{secret}".encode()).digest() for secret in secrets]
