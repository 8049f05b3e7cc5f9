"""Every write about clinics, people and their keys; one function is one audited transaction."""

from accounts.services.attestations import clinic_use_attest, clinic_use_withdraw
from accounts.services.clinics import SESSION_KEY, clinic_create, clinic_switch, clinic_update
from accounts.services.invitations import (
    invitation_accept,
    invitation_create,
    invitation_revoke,
)
from accounts.services.languages import language_choose
from accounts.services.members import (
    BREAK_GLASS_MAX_HOURS,
    BreakGlassReason,
    member_break_glass,
    member_deactivate,
    member_grant,
    member_override,
    member_reactivate,
    member_update,
)
from accounts.services.tokens import (
    token_create,
    token_override_revoke,
    token_revoke,
    token_touch,
)

__all__ = [
    "BREAK_GLASS_MAX_HOURS",
    "SESSION_KEY",
    "BreakGlassReason",
    "clinic_create",
    "clinic_switch",
    "clinic_update",
    "clinic_use_attest",
    "clinic_use_withdraw",
    "invitation_accept",
    "invitation_create",
    "invitation_revoke",
    "language_choose",
    "member_break_glass",
    "member_deactivate",
    "member_grant",
    "member_override",
    "member_reactivate",
    "member_update",
    "token_create",
    "token_override_revoke",
    "token_revoke",
    "token_touch",
]
