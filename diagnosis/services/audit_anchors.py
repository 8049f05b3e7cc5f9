"""The heads of the audit chains, kept where the database's owner cannot reach them.

One object a day in the object store (``anchors/2026-11-20.json``) holds every chain's head of
that day, replaced each minute; a bucket with versions and a lock keeps each of them. The same
heads go to the log, and to the file that ``AUDIT_ANCHOR_FILE`` names: a mounted share or a pipe of
another machine. A chain that is broken is not vouched for: its last good head stays.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.audit import audit_record
from accounts.audit_chain import ChainReport, Head, beginning, chain_verify
from accounts.models import AuditEvent, Clinic
from accounts.tenancy import clinic_scope
from diagnosis.storage import StorageError, object_list, object_read, object_replace

logger = logging.getLogger(__name__)
KIND: Final = "anchors"
Chain = UUID | None


class AnchorsUnreadableError(Exception):
    """Heads that were kept cannot be read, so nothing can be said about the chains."""


@dataclass(frozen=True, slots=True)
class Verified:
    """One chain, what was found in it, and up to which place a head outside covers it."""

    clinic_id: Chain
    report: ChainReport
    covered: int


def anchors_write() -> int:
    """Check what is new in each chain, keep the new heads outside, and return how many those are.

    Raises:
        StorageError: the store does not answer; until it does, the events' own proofs hold.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('anchors', 0))")
            if not cursor.fetchone()[0]:
                return 0  # another process is at it
        kept = _newest()
        moved = {chain: head for chain in _chains() if (head := _moved(chain, kept.get(chain)))}
        if moved:
            _keep(kept | moved, moved)
    return len(moved)


def trail_verify(*, clinic_id: Chain = None, all_chains: bool = True) -> Iterator[Verified]:
    """Check one chain, or all of them and those that only a head outside still knows.

    Raises:
        AnchorsUnreadableError: the heads that were kept cannot be read.
    """
    kept: dict[Chain, set[Head]] = {}
    for chain, head in _all_kept():
        kept.setdefault(chain, set()).add(head)
    known = {*_chains(), *kept} if all_chains else {clinic_id}
    for chain in sorted(known, key=str):
        with clinic_scope(chain):
            heads = sorted(kept.get(chain, ()), key=lambda head: head.place)
            report = chain_verify(AuditEvent.objects.all(), chain, kept=heads)
        yield Verified(chain, report, heads[-1].place if heads else 0)


def verification_record(results: Iterable[Verified]) -> None:
    """Note in the site's own trail that it was checked, and what was found."""
    checked = list(results)
    broken = [str(entry.clinic_id) for entry in checked if entry.report.flaw]
    audit_record(
        actor=None,
        action="audit.verify",
        clinic_id=None,
        outcome=AuditEvent.Outcome.FAILED if broken else AuditEvent.Outcome.SUCCESS,
        chains=len(checked),
        broken=broken,
    )
    for entry in checked:
        if entry.report.flaw:
            code = f"audit_{entry.report.flaw.code}"
            logger.error(
                "the audit trail is broken", extra={"code": code, "clinic_id": entry.clinic_id}
            )


def _chains() -> list[Chain]:
    return [None, *Clinic.objects.order_by("pk").values_list("pk", flat=True)]


def _moved(chain: Chain, kept: Head | None) -> Head | None:
    """Return a chain's new head, if it has one and all since the kept head is in order."""
    with clinic_scope(chain):
        heads = [kept] if kept else []
        report = chain_verify(AuditEvent.objects.all(), chain, kept=heads, after=kept)
    if report.flaw:
        code = f"audit_{report.flaw.code}"
        logger.error("the audit trail is broken", extra={"code": code, "clinic_id": chain})
    return report.head if report.head != (kept or beginning(chain)) else None


def _keep(heads: dict[Chain, Head], moved: dict[Chain, Head]) -> None:
    now = timezone.now()
    body = {str(chain or ""): [head.place, head.digest.hex()] for chain, head in heads.items()}
    content = json.dumps({"at": now.isoformat(), "heads": body}, sort_keys=True)
    object_replace(key=f"{KIND}/{now.date().isoformat()}.json", data=content.encode())
    lines = [
        {"at": now.isoformat(), "clinic": str(c or ""), "place": h.place, "digest": h.digest.hex()}
        for c, h in moved.items()
    ]
    for line in lines:
        logger.info("audit head %s", json.dumps(line))
    if settings.AUDIT_ANCHOR_FILE:
        with Path(settings.AUDIT_ANCHOR_FILE).open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in lines)


def _newest() -> dict[Chain, Head]:
    key = max((key for key, _written in object_list(KIND)), default=None)
    return dict(_of_day(key)) if key else {}


def _all_kept() -> Iterator[tuple[Chain, Head]]:
    """Yield every head that was kept anywhere outside."""
    try:
        for key, _written in object_list(KIND):
            yield from _of_day(key)
        file = Path(settings.AUDIT_ANCHOR_FILE) if settings.AUDIT_ANCHOR_FILE else None
        if file and file.is_file():
            for text in file.read_text(encoding="utf-8").splitlines():
                line = json.loads(text)
                yield _entry(line["clinic"], line["place"], line["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnchorsUnreadableError from error


def _of_day(key: str) -> list[tuple[Chain, Head]]:
    try:
        heads: dict[str, list[Any]] = json.loads(object_read(key))["heads"]
        return [_entry(chain, place, digest) for chain, (place, digest) in heads.items()]
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{key} is damaged") from error


def _entry(chain: str, place: int, digest: str) -> tuple[Chain, Head]:
    return UUID(chain) if chain else None, Head(int(place), bytes.fromhex(digest))
