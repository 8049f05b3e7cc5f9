"""Reads of what the HL7 listener needs."""

from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from accounts.models import User
from diagnosis.models import Hl7Message


def hl7_senders_matching(
    *, application: str, facility: str, address: str, certificate_sha256: str
) -> list[tuple[UUID, UUID]]:
    """Return the ids of sender and clinic for each active sender that fits, of any clinic.

    The one read before a clinic is known; it tells nothing but ids.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sender_id, clinic_id FROM diagnosis_hl7_sender_find(%s, %s, %s, %s)",
            [application, facility, address, certificate_sha256],
        )
        return list(cursor.fetchall())


def hl7_message_list(*, user: User) -> QuerySet[Hl7Message]:
    """Return what came in and what became of it, newest first."""
    messages = Hl7Message.objects.for_user(user).select_related("sender")
    return messages.order_by("-created_at", "id")
