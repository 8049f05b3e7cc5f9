"""The access matrix, written by hand a second time: every cell, and the foreign clinic."""

import pytest

from accounts.models import Role
from accounts.policy import Action, ActionDeniedError, allowed_actions, require
from tests.factories import ClinicFactory, MembershipFactory

# fmt: off
EXPECTED = {                    # technician, doctor, clinic admin
    Action.PATIENT_VIEW:         (True,  True,  True),
    Action.PATIENT_EDIT:         (True,  True,  False),
    Action.PATIENT_MERGE:        (False, True,  True),
    Action.STUDY_VIEW:           (True,  True,  True),
    Action.STUDY_EDIT:           (True,  True,  False),
    Action.STUDY_CLAIM:          (False, True,  False),
    Action.STUDY_ASSIGN:         (False, True,  True),
    Action.STUDY_SHARE:          (False, True,  False),
    Action.IMAGE_UPLOAD:         (True,  True,  False),
    Action.IMAGE_MOVE:           (True,  True,  False),
    Action.IMAGE_ANNOTATE:       (True,  True,  False),
    Action.ANALYSIS_REQUEST:     (True,  True,  False),
    Action.FINDING_REVIEW:       (False, True,  False),
    Action.REPORT_VIEW:          (True,  True,  True),
    Action.REPORT_WRITE:         (False, True,  False),
    Action.REPORT_SIGN:          (False, True,  False),
    Action.DISCREPANCY_RESOLVE:  (False, True,  False),
    Action.RETENTION_MANAGE:     (False, False, True),
    Action.PATIENT_ERASE:        (False, False, True),
    Action.PATIENT_EXPORT:       (False, False, True),
    Action.RECALL_MANAGE:        (True,  True,  False),
    Action.MEMBER_MANAGE:        (False, False, True),
    Action.CLINIC_SETTINGS:      (False, False, True),
    Action.TOKEN_MANAGE:         (True,  True,  True),
    Action.AUDIT_VIEW:           (False, False, True),
    Action.MODEL_VIEW:           (False, False, True),
    Action.TRAINING_EXPORT:      (False, False, True),
    Action.DESTINATION_MANAGE:   (False, False, True),
    Action.DELIVERY_SEND:        (False, True,  True),
    Action.STUDY_EXPORT:         (False, True,  True),
    Action.PRIOR_FETCH:          (True,  True,  False),
    Action.DASHBOARD_VIEW:       (False, True,  True),
    Action.VALIDATION_RUN:       (False, False, True),
}
# fmt: on
ROLES = (Role.TECHNICIAN, Role.DOCTOR, Role.CLINIC_ADMIN)
CELLS = [
    pytest.param(action, role, allowed, id=f"{role}-{action}")
    for action, row in EXPECTED.items()
    for role, allowed in zip(ROLES, row, strict=True)
]


def test_the_table_is_complete():
    assert set(EXPECTED) == set(Action)
    assert set(ROLES) == set(Role)


@pytest.mark.django_db
@pytest.mark.parametrize(("action", "role", "allowed"), CELLS)
def test_cell(action, role, allowed):
    member = MembershipFactory(roles=[role])
    try:
        require(user=member.user, action=action, clinic_id=member.clinic_id)
    except ActionDeniedError:
        assert not allowed
    else:
        assert allowed
    with pytest.raises(ActionDeniedError):
        require(user=member.user, action=action, clinic_id=ClinicFactory().pk)


@pytest.mark.django_db
def test_several_roles_add_up():
    solo = MembershipFactory(roles=list(Role))
    assert allowed_actions(user=solo.user, clinic_id=solo.clinic_id) == set(Action)


@pytest.mark.django_db
@pytest.mark.parametrize("ended", ["membership", "user", "clinic"])
def test_nothing_is_allowed_once_membership_person_or_clinic_is_inactive(ended):
    member = MembershipFactory(roles=list(Role))
    row = {"membership": member, "user": member.user, "clinic": member.clinic}[ended]
    row.is_active = False
    row.save()
    assert allowed_actions(user=member.user, clinic_id=member.clinic_id) == frozenset()


@pytest.mark.django_db
def test_a_site_administrator_may_nothing_by_that_alone():
    member = MembershipFactory(user__is_staff=True, user__is_superuser=True, is_active=False)
    assert allowed_actions(user=member.user, clinic_id=member.clinic_id) == frozenset()
