"""Who may do what: the whole access policy, as one table.

Object visibility (which rows) is ``for_user`` on the querysets; this module
answers the other half (which actions). Superusers get nothing here: a person
who needs clinical data is given a membership, which is audited.
"""

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

from django.core.exceptions import PermissionDenied

from accounts.models import Membership, Role, User, membership_in_force


class Action(StrEnum):
    """Everything a member can ask the system to do."""

    PATIENT_VIEW = "patient.view"
    PATIENT_EDIT = "patient.edit"
    PATIENT_MERGE = "patient.merge"
    STUDY_VIEW = "study.view"
    STUDY_EDIT = "study.edit"
    STUDY_CLAIM = "study.claim"
    STUDY_ASSIGN = "study.assign"
    STUDY_SHARE = "study.share"
    IMAGE_UPLOAD = "image.upload"
    IMAGE_MOVE = "image.move"
    IMAGE_ANNOTATE = "image.annotate"
    ANALYSIS_REQUEST = "analysis.request"
    FINDING_REVIEW = "finding.review"
    REPORT_VIEW = "report.view"
    REPORT_WRITE = "report.write"
    REPORT_SIGN = "report.sign"
    DISCREPANCY_RESOLVE = "discrepancy.resolve"
    RECALL_MANAGE = "recall.manage"
    MEMBER_MANAGE = "member.manage"
    CLINIC_SETTINGS = "clinic.settings"
    TOKEN_MANAGE = "token.manage"  # noqa: S105 - a name, no secret
    AUDIT_VIEW = "audit.view"
    MODEL_VIEW = "model.view"
    TRAINING_EXPORT = "training.export"
    DESTINATION_MANAGE = "destination.manage"
    DELIVERY_SEND = "delivery.send"
    STUDY_EXPORT = "study.export"
    PRIOR_FETCH = "prior.fetch"
    DASHBOARD_VIEW = "dashboard.view"
    VALIDATION_RUN = "validation.run"
    RETENTION_MANAGE = "retention.manage"
    PATIENT_ERASE = "patient.erase"
    PATIENT_EXPORT = "patient.export"


_VIEW = frozenset({Action.PATIENT_VIEW, Action.STUDY_VIEW, Action.REPORT_VIEW})
_REGISTER = frozenset(
    {
        Action.PATIENT_EDIT,
        Action.STUDY_EDIT,
        Action.IMAGE_UPLOAD,
        Action.IMAGE_MOVE,
        Action.IMAGE_ANNOTATE,
        Action.ANALYSIS_REQUEST,
        Action.PRIOR_FETCH,
        Action.TOKEN_MANAGE,
    }
)

ALLOWED: Mapping[Role, frozenset[Action]] = {
    Role.TECHNICIAN: _VIEW | _REGISTER | {Action.RECALL_MANAGE},
    Role.DOCTOR: _VIEW
    | _REGISTER
    | {
        Action.PATIENT_MERGE,
        Action.FINDING_REVIEW,
        Action.REPORT_WRITE,
        Action.REPORT_SIGN,
        Action.DISCREPANCY_RESOLVE,
        Action.RECALL_MANAGE,
        Action.DELIVERY_SEND,
        Action.STUDY_EXPORT,
        Action.STUDY_CLAIM,
        Action.STUDY_ASSIGN,
        Action.STUDY_SHARE,
        Action.DASHBOARD_VIEW,
    },
    Role.CLINIC_ADMIN: _VIEW
    | {
        Action.PATIENT_MERGE,
        Action.STUDY_ASSIGN,
        Action.MEMBER_MANAGE,
        Action.CLINIC_SETTINGS,
        Action.TOKEN_MANAGE,
        Action.AUDIT_VIEW,
        Action.DESTINATION_MANAGE,
        Action.DELIVERY_SEND,
        Action.MODEL_VIEW,
        Action.TRAINING_EXPORT,
        Action.STUDY_EXPORT,
        Action.DASHBOARD_VIEW,
        Action.VALIDATION_RUN,
        Action.RETENTION_MANAGE,
        Action.PATIENT_ERASE,
        Action.PATIENT_EXPORT,
    },
}


class ActionDeniedError(PermissionDenied):
    """A member asked for what their roles do not allow; the door they came by audits it."""

    def __init__(self, action: Action) -> None:
        super().__init__(f"{action} is not allowed in this clinic")
        self.action = action


def allowed_actions(*, user: User, clinic_id: UUID) -> frozenset[Action]:
    """Return what ``user`` may do in the clinic; read from the database on every call.

    Rights changes and deactivation therefore take effect on the next request.
    """
    roles = (
        Membership.objects.filter(
            membership_in_force(),
            user=user,
            clinic_id=clinic_id,
            user__is_active=True,
            clinic__is_active=True,
        )
        .values_list("roles", flat=True)
        .first()
    )
    return frozenset().union(*(ALLOWED[Role(role)] for role in roles or ()))


def require(*, user: User, action: Action, clinic_id: UUID) -> None:
    """Return silently when allowed.

    Raises:
        ActionDeniedError: ``user`` has no active membership that allows ``action``.
    """
    if action not in allowed_actions(user=user, clinic_id=clinic_id):
        raise ActionDeniedError(action)
