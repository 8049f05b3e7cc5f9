"""Links by which an app opens the viewer for the person in front of it, once and within a minute.

The link is sealed and names the app's token: what is opened stays bound to that token, so that it
ends with it and shows no more than it may read.
"""

import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.db import transaction
from django.utils import timezone

from accounts.audit import audit_record
from accounts.models import ApiToken, User
from accounts.policy import Action, require
from accounts.selectors import token_live
from accounts.smart_statements import statement_note
from diagnosis.models import Study
from fracture_site.common.sealing import cipher

LINK_LIFE: Final = timedelta(minutes=1)
_PURPOSE: Final = "link to the viewer:"


@dataclass(frozen=True, slots=True)
class ViewerLink:
    """A link that was made: the secret part of its address, and until when it opens."""

    secret: str
    expires_at: datetime


@transaction.atomic
def viewer_link_create(*, actor: User, token: ApiToken, study: Study) -> ViewerLink:
    """Make a link to a study for whoever sits in front of the app; reading it is audited later."""
    require(user=actor, action=Action.STUDY_VIEW, clinic_id=study.clinic_id)
    told = [str(token.pk), str(study.pk), secrets.token_urlsafe(16)]
    audit_record(
        actor=actor,
        action="study.viewer_link",
        clinic_id=study.clinic_id,
        target=study,
        patient_id=study.patient_id,
    )
    return ViewerLink(
        secret=cipher(_PURPOSE).encrypt(json.dumps(told).encode()).decode(),
        expires_at=timezone.now() + LINK_LIFE,
    )


def viewer_link_use(*, secret: str) -> tuple[ApiToken, UUID] | None:
    """Return the app's live token and the study's id; nothing for a link that is old or used."""
    try:
        life = int(LINK_LIFE.total_seconds())
        told = json.loads(cipher(_PURPOSE).decrypt(secret.encode(), ttl=life))
        token_id, study_id, number = UUID(told[0]), UUID(told[1]), str(told[2])
    except (InvalidToken, ValueError):
        return None
    token = token_live(pk=token_id)
    if token is None or token.app_id is None:
        return None
    over = timezone.now() + 2 * LINK_LIFE
    if not statement_note(app_id=token.app_id, number=number, expires_at=over):
        return None
    return token, study_id
