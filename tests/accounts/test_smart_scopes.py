"""What scopes say: which are known, which contain which, how far a token goes."""

import pytest

from accounts.smart_scopes import (
    Reach,
    needs_patient,
    scope_reach,
    scopes_askable,
    scopes_system,
    scopes_within,
)


@pytest.mark.parametrize(
    "scopes",
    ["user/*.read", "user/Patient.rs", "patient/Observation.s", "launch/patient patient/*.r",
     "patient/*.rs offline_access", "user/*.rs online_access"],
)  # fmt: skip
def test_what_apps_of_people_may_ask_for(scopes):
    assert scopes_askable(scopes.split())


@pytest.mark.parametrize(
    "scopes",
    ["", "user/Nothing.read", "user/*.cruds", "user/*.write", "user/Patient.sr", "user/*.",
     "patient/Observation.rs?category=imaging", "system/*.rs", "user/*.rs system/*.rs", "openid",
     "launch/patient", "offline_access", "user/*.rs launch",
     "user/*.rs online_access offline_access", "USER/*.rs", "user/*.rs\n"],
)  # fmt: skip
def test_what_nobody_gets(scopes):
    assert not scopes_askable(scopes.split(" "))


@pytest.mark.parametrize(
    ("wanted", "granted", "within"),
    [
        ("user/Patient.r", "user/*.rs", True),
        ("user/Patient.read", "user/Patient.rs", True),
        ("patient/Patient.rs offline_access", "patient/*.rs offline_access", True),
        ("user/*.rs", "user/Patient.rs", False),
        ("user/Patient.rs", "patient/*.rs", False),
        ("user/Patient.rs", "user/Patient.r", False),
        ("user/Patient.rs", "user/Patient.r user/Patient.s", False),
        ("system/Patient.rs", "user/*.rs", False),
        ("offline_access", "user/*.rs", False),
        ("made/up.rs", "user/*.rs", False),
    ],
)
def test_what_is_a_part_of_what(wanted, granted, within):
    assert scopes_within(wanted.split(), granted.split()) is within


@pytest.mark.parametrize(
    ("scopes", "kind", "verb", "reach"),
    [
        ("", "Patient", "r", Reach.CLINIC),
        ("user/*.rs", "Observation", "s", Reach.CLINIC),
        ("system/Patient.read", "Patient", "r", Reach.CLINIC),
        ("user/Patient.r", "Patient", "s", Reach.NOTHING),
        ("user/Patient.rs", "Observation", "r", Reach.NOTHING),
        ("patient/*.rs", "Observation", "r", Reach.PATIENT),
        ("patient/*.rs user/Device.rs", "Device", "r", Reach.CLINIC),
        ("patient/*.rs user/Device.rs", "Patient", "r", Reach.PATIENT),
        ("launch/patient", "Patient", "r", Reach.NOTHING),
    ],
)
def test_how_far_a_token_goes(scopes, kind, verb, reach):
    assert scope_reach(scopes, kind, verb) is reach


def test_who_needs_a_patient_and_what_is_a_services():
    assert needs_patient(["launch/patient", "user/*.rs"])
    assert needs_patient(["patient/Patient.r"])
    assert not needs_patient(["user/*.rs"])
    assert scopes_system(["system/*.rs", "system/Patient.r"])
    assert not scopes_system([])
    assert not scopes_system(["system/*.rs", "user/*.rs"])
