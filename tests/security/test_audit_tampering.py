# ruff: noqa: S608 - the names in these statements are ours
"""What the owner of the database could do to the audit trail: a thousand ways, all found.

The forger knows the code, switches the triggers off and rewrites what follows as sealing would;
only the site's key and the heads that were kept outside are out of reach.
"""

import random
from collections import Counter
from datetime import timedelta
from itertools import accumulate
from uuid import uuid4

import pytest
from django.db import connections, transaction
from django.utils import timezone

from accounts.audit import audit_record
from accounts.audit_chain import Flaw, Head, _head, _next, beginning, chain_verify, chains_seal
from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.services.audit_anchors import _all_kept, anchors_write
from diagnosis.storage import object_delete, object_list
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
TABLE = "accounts_auditevent"
TAMPERS, SEED = 1000, 20
COVERED, FRESH, WAITING = 10, 4, 3
FIELDS = ("at", "actor_id", "token_id", "action", "outcome", "target_type", "target_id",
          "patient_id", "details", "clinic_id", "proof", "digest", "place", "id")  # fmt: skip


class Forger:
    """Tampers with one clinic's chain through the owner's connection."""

    def __init__(self, cursor, member, other, chance: random.Random) -> None:
        self.cursor, self.clinic, self.other, self.chance = cursor, member.clinic_id, other, chance
        self.user = member.user_id

    @property
    def events(self):
        return AuditEvent.objects.using("owner").filter(clinic_id=self.clinic)

    def set(self, event, **values) -> None:
        columns = ", ".join(f"{name} = %s" for name in values)
        self.cursor.execute(
            f"UPDATE {TABLE} SET {columns} WHERE id = %s", [*values.values(), event.pk]
        )

    def sealed(self):
        return list(self.events.filter(place__isnull=False).order_by("place"))

    def any(self):
        return self.chance.choice(list(self.events.order_by("id")))

    def reseal(self, events) -> None:
        """Make the given events a chain that is whole in itself."""
        heads = list(accumulate(events, _next, initial=beginning(self.clinic)))[1:]
        self.cursor.execute(
            f"UPDATE {TABLE} e SET place = s.place, digest = s.digest "
            "FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) AS s (id, place, digest) "
            "WHERE e.id = s.id",
            [[e.pk for e in events], [h.place for h in heads], [h.digest for h in heads]],
        )

    # --- the ways ---

    def edit(self) -> str:
        field = self.chance.choice(FIELDS)
        sealed = self.sealed()
        # A proof says nothing any more once a head outside covers its event.
        range_ = {"digest": sealed, "place": sealed, "proof": sealed[COVERED:]}
        event = self.chance.choice(range_.get(field) or list(self.events))
        self.set(event, **{field: self._other_value(event, field)})
        return f"edit {field}"

    def edit_and_reseal(self) -> str:
        event = self.chance.choice(self.sealed())
        self.set(event, patient_id=uuid4())
        self.reseal(self.sealed())
        return "edit, chain rewritten"

    def delete(self) -> str:
        event = self.chance.choice(self.sealed()[:-1])
        self.cursor.execute(f"DELETE FROM {TABLE} WHERE id = %s", [event.pk])
        return "delete"

    def delete_and_reseal(self) -> str:
        self.delete()
        self.reseal(self.sealed())
        return "delete, chain rewritten"

    def swap(self) -> str:
        first, second = self.chance.sample(self.sealed(), 2)
        self.set(first, place=-1)
        self.set(second, place=first.place)
        self.set(first, place=second.place)
        return "swap places"

    def swap_content(self) -> str:
        first, second = self.chance.sample(list(self.events.order_by("id")), 2)
        self.set(first, patient_id=second.patient_id)
        self.set(second, patient_id=first.patient_id)
        return "swap contents"

    def reorder_and_reseal(self) -> str:
        events = self.sealed()
        index = self.chance.randrange(len(events) - 1)
        events[index], events[index + 1] = events[index + 1], events[index]
        self.reseal(events)
        return "reorder, chain rewritten"

    def cut(self) -> str:
        """Take the newest events away: all of those after the last head and some before."""
        keep = self.chance.randrange(COVERED)
        self.cursor.execute(
            f"DELETE FROM {TABLE} WHERE clinic_id = %s AND (place > %s OR place IS NULL)",
            [self.clinic, keep],
        )
        return "cut the tail"

    def cut_and_grow(self) -> str:
        """Cut, and seal in other events until the chain is as long as before."""
        self.cut()
        kept = self.sealed()
        forged = [self.insert(action=f"forged.{n}") for n in range(COVERED + FRESH - len(kept))]
        self.reseal(kept + forged)
        return "cut, other events grown"

    def unseal(self) -> str:
        event = self.chance.choice(self.sealed()[:COVERED])
        self.set(event, place=None, digest=None)
        return "take out of the chain"

    def forge_waiting(self) -> str:
        self.insert(proof=self.chance.choice([b"", self.chance.randbytes(32), self.any().proof]))
        return "forge, to be sealed"

    def forge_at_the_end(self) -> str:
        event = self.insert(proof=self.chance.choice([b"", self.any().proof]))
        head = _next(_head(self.events, self.clinic), event)
        self.set(event, place=head.place, digest=head.digest)
        return "forge, sealed at the end"

    def forge_between(self) -> str:
        events = self.sealed()
        at = timezone.now() - timedelta(days=self.chance.randrange(1, 90))
        events.insert(
            self.chance.randrange(len(events)), self.insert(at=at, proof=self.any().proof)
        )
        self.reseal(events)
        return "forge between, chain rewritten"

    def copy(self) -> str:
        event = self.any()
        event.pk, event.place, event.digest = self._new_id(), None, None
        event._state.adding = True
        event.save(using="owner", force_insert=True)
        return "copy"

    def insert(self, **values):
        return AuditEvent.objects.using("owner").create(
            pk=self._new_id(),
            **{"action": "report.sign", "clinic_id": self.clinic, "actor_id": self.user} | values,
        )

    def _new_id(self) -> int:
        self.cursor.execute("SELECT nextval('accounts_auditevent_id_seq')")
        return self.cursor.fetchone()[0]

    def _other_value(self, event, field):
        return {
            "at": event.at + timedelta(microseconds=self.chance.choice([-1, 1, 10**9])),
            "actor_id": None if event.actor_id else self.user,
            "action": f"{event.action}s",
            "outcome": "denied" if event.outcome == "success" else "success",
            "target_type": "",
            "details": '{"number": -1}',
            "clinic_id": self.chance.choice([None, self.other]),
            "proof": self.chance.randbytes(32),
            "digest": self.chance.randbytes(32),
            "place": (event.place or 0) + 1000,
            "id": event.pk + 10**6,
        }.get(field, uuid4())


WAYS = [
    Forger.edit, Forger.edit, Forger.edit_and_reseal, Forger.delete, Forger.delete_and_reseal,
    Forger.swap, Forger.swap_content, Forger.reorder_and_reseal, Forger.cut, Forger.cut_and_grow,
    Forger.unseal, Forger.forge_waiting, Forger.forge_at_the_end, Forger.forge_between, Forger.copy,
]  # fmt: skip


@pytest.fixture
def chain():
    """Events that a head outside covers, newer ones that are sealed, and some that wait."""
    for key, _written in list(object_list("anchors")):
        object_delete(key)
    member, other = MembershipFactory(doctor=True), MembershipFactory(doctor=True)
    for count, then in ((COVERED, anchors_write), (FRESH, int), (WAITING, None)):
        with clinic_scope(member.clinic_id):
            for number in range(count):
                audit_record(
                    actor=member.user, action="study.open", clinic_id=member.clinic_id,
                    target=member.clinic, patient_id=uuid4(), number=number,
                )  # fmt: skip
        if then:
            chains_seal()
            then()
    return member, other.clinic_id


def verdict(clinic_id, kept: list[Head]) -> Flaw | None:
    return chain_verify(AuditEvent.objects.using("owner"), clinic_id, kept=kept).flaw


@pytest.mark.timeout(600)  # seconds; under a minute on an idle machine
def test_a_thousand_tampers_are_found_a_thousand_times(chain):
    member, other = chain
    kept = [head for clinic, head in _all_kept() if clinic == member.clinic_id]
    assert [head.place for head in kept] == [COVERED]
    chance, missed, codes = random.Random(SEED), [], Counter()  # noqa: S311 - no secret
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER USER")
        cursor.execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT audit_place_with_digest")
        cursor.execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT accounts_auditevent_place_check")
        cursor.execute("DROP INDEX audit_place_once")
        cursor.execute(f"ALTER TABLE {TABLE} NO FORCE ROW LEVEL SECURITY")
        assert verdict(member.clinic_id, kept) is None
        for number in range(TAMPERS):
            point = transaction.savepoint(using="owner")
            what = WAYS[number % len(WAYS)](Forger(cursor, member, other, chance))
            flaw = verdict(member.clinic_id, kept)
            transaction.savepoint_rollback(point, using="owner")
            if flaw is None:
                missed.append((number, what))
            else:
                codes[flaw.code] += 1
        assert missed == []
        assert sum(codes.values()) == TAMPERS
        assert set(codes) == {"altered", "missing", "cut", "rewritten", "forged"}
        assert verdict(member.clinic_id, kept) is None
        transaction.set_rollback(True, using="owner")


def test_the_first_bad_event_is_named(chain):
    member, _other = chain
    kept = [head for clinic, head in _all_kept() if clinic == member.clinic_id]
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER USER")
        cursor.execute(f"ALTER TABLE {TABLE} NO FORCE ROW LEVEL SECURITY")
        events = AuditEvent.objects.using("owner").filter(clinic_id=member.clinic_id)
        fifth, seventh = events.get(place=5), events.get(place=7)
        for event in (seventh, fifth):
            cursor.execute(f"UPDATE {TABLE} SET outcome = 'denied' WHERE id = %s", [event.pk])
        assert verdict(member.clinic_id, kept) == Flaw("altered", 5, fifth.pk)
        cursor.execute(f"DELETE FROM {TABLE} WHERE id = %s", [fifth.pk])
        sixth = events.get(place=6)
        assert verdict(member.clinic_id, kept) == Flaw("missing", 5, sixth.pk)
        transaction.set_rollback(True, using="owner")
