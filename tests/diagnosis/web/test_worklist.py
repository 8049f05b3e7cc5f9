"""The worklist in pages: search, filters, news, claims, the way through the list, the rules."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.models import ClinicRules, SavedFilter
from diagnosis.services.claims import claim_take
from diagnosis.services.search_index import patient_reindex
from tests.diagnosis.web.test_pages import full_study
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


@pytest.fixture
def signed_in(client, doctor):
    client.force_login(doctor.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_a_search_is_kept_in_the_session_and_never_in_the_address(signed_in, doctor):
    for name in ("Wanted", "Other"):
        patient = full_study(doctor.clinic, family_name=name).study.patient
        with clinic_scope(doctor.clinic_id):
            patient_reindex(patient)
    answer = signed_in.post(
        reverse("diagnosis:worklist-search"), {"q": "wanted", "query": "tab=all&after=1&q=x"}
    )
    assert answer["Location"] == "/?tab=all"
    page = signed_in.get(answer["Location"]).content
    assert b"Wanted, " in page
    assert b"Other, " not in page
    found = signed_in.post(reverse("diagnosis:patient-search"), {"q": "other"}, follow=True)
    assert found.request["QUERY_STRING"] == ""
    assert b"Other, " in found.content
    assert b"Wanted, " not in found.content
    signed_in.post(reverse("diagnosis:worklist-search"), {"q": ""})
    assert b"Other, " in signed_in.get("/?tab=all").content


def test_filters_are_saved_by_name_and_are_ones_own(signed_in, doctor, client):
    signed_in.post(
        reverse("diagnosis:saved-filter-create"),
        {"name": "Legs", "query": "tab=all&region=leg&bogus=1&q=Name"},
    )
    with clinic_scope(doctor.clinic_id):
        saved = SavedFilter.objects.get()
    assert saved.filters == {"tab": "all", "region": "leg"}
    assert b"region=leg" in signed_in.get(reverse("diagnosis:worklist")).content
    colleague = MembershipFactory(doctor=True, clinic=doctor.clinic)
    other = type(client)()
    other.force_login(colleague.user)
    address = reverse("diagnosis:saved-filter-delete", args=[saved.pk])
    assert b"Legs" not in other.get(reverse("diagnosis:worklist")).content
    assert other.post(address).status_code == 404
    assert signed_in.post(address).status_code == 302
    with clinic_scope(doctor.clinic_id):
        assert not SavedFilter.objects.exists()


def test_news_update_the_rows_on_the_screen_and_are_silent_without_any(signed_in, doctor):
    image = full_study(doctor.clinic)
    address = reverse("diagnosis:worklist-news")
    shown = {"shown": [str(image.study_id), "bogus"], "since": timezone.now().isoformat()}
    first = signed_in.post(address, shown)
    digest = re.search(r'value="([0-9a-f]{64})"', first.content.decode())[1]
    assert signed_in.post(address, shown | {"digest": digest}).status_code == 204
    full_study(doctor.clinic)
    colleague = MembershipFactory(doctor=True, clinic=doctor.clinic)
    with clinic_scope(doctor.clinic_id):
        claim_take(actor=colleague.user, study=image.study)
    text = signed_in.post(address, shown | {"digest": digest}).content.decode()
    assert "1 new or changed" in text
    assert f"{colleague.user.display_name} is reading" in text
    assert f'id="state-{image.study_id}"' in text
    for since in ("", "yesterday", "2026-13-45T00:00", "2026-01-01"):
        assert signed_in.post(address, shown | {"since": since}).status_code == 200


def test_the_study_page_leads_on_within_the_filtered_list(signed_in, doctor):
    first, second = full_study(doctor.clinic), full_study(doctor.clinic)
    query = "tab=unread&region=hand_arm"
    page = signed_in.get(reverse("diagnosis:study-detail", args=[first.study_id]) + f"?{query}")
    text = page.content.decode().replace("&amp;", "&")
    assert f"{reverse('diagnosis:study-detail', args=[second.study_id])}?{query}" in text
    assert "data-study-previous" not in text


def test_a_claim_is_taken_released_and_refused_on_the_page(signed_in, doctor, client):
    image = full_study(doctor.clinic)
    address = reverse("diagnosis:study-claim", args=[image.study_id])
    htmx = {"HTTP_HX_REQUEST": "true"}
    assert b"data-claim-token" in signed_in.post(address, {"do": "take"}, **htmx).content
    colleague = type(client)()
    colleague.force_login(MembershipFactory(doctor=True, clinic=doctor.clinic).user)
    assert b"is reading this study" in colleague.post(address, {"do": "take"}, **htmx).content
    holder = {"do": "take_over", "holder": str(doctor.user.pk)}
    assert b"data-claim-token" in colleague.post(address, holder, **htmx).content
    assert b"has taken this study over" in signed_in.post(address, {"do": "renew"}, **htmx).content
    assert colleague.post(address, {"do": "release"}).status_code == 302
    assert b"Nobody is reading" in signed_in.get(address).content


def test_the_rules_page_is_for_administrators(signed_in, doctor, client):
    admin = MembershipFactory(roles=[Role.CLINIC_ADMIN], clinic=doctor.clinic)
    address = reverse("diagnosis:clinic-rules")
    assert signed_in.get(address).status_code == 403
    office = type(client)()
    office.force_login(admin.user)
    assert office.get(address).status_code == 200
    body = {
        "target_stat": 5, "critical_enabled": "on", "critical_priority": 2,
        "people_1": [str(doctor.user_id)], "minutes_1": 3, "views_wrist": ["frontal"],
    }  # fmt: skip
    assert office.post(address, body | {"target_stat": 0}).status_code == 422
    assert office.post(address, body).status_code == 302
    with clinic_scope(doctor.clinic_id):
        rules = ClinicRules.objects.get()
    assert (rules.targets["stat"], rules.targets["urgent"]) == (5, None)
    assert rules.critical_levels == [{"people": [str(doctor.user_id)], "minutes": 3}]
    assert rules.views["wrist"] == ["frontal"]
    assert b'value="5"' in office.get(address).content
