"""Input that no honest client sends: always a 4xx with a code, never a 5xx."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.diagnosis.api.conftest import API
from tests.diagnosis.api.routes import MULTIPART, ROUTES, as_read, body, send

pytestmark = pytest.mark.django_db
JSON_ROUTES = [route for route in ROUTES if not route.is_safe and str(route) not in MULTIPART]
# Files in parts speak in headers; a body of fields says nothing to them.
FIELD_ROUTES = [route for route in JSON_ROUTES if route.name != "study-uploads"
                and route.noun != "upload"]  # fmt: skip
NASTY = [
    None,
    True,
    -1,
    10**40,
    1e308,
    "",
    "\x00",
    "a\x00b",
    "\ud800",
    "x" * 100_000,
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "9999-99-99",
    "00000000-0000-0000-0000-000000000000",
    [],
    [[]],
    {},
    {"$gt": ""},
]
BODIES = [
    b"",
    b"[]",
    b"null",
    b"1",
    b'"text"',
    b"{",
    b"\xff\xfe",
    b"NaN",
    b'{"patient": NaN}',
    b'{"a": "\\ud800"}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"n": ' + b"9" * 10_000 + b"}",
]
# fmt: off
_PATIENT = ["record_number", "given_name", "family_name", "birth_date", "sex"]
_STUDY = ["patient", "clinical_question", "body_part", "side", "priority", "accession_number"]
FIELDS = {
    "patient-list": _PATIENT,
    "patient-detail": _PATIENT,
    "patient-merge": ["into"],
    "study-list": _STUDY,
    "study-detail": _STUDY,
    "study-move": ["patient"],
    "image-move": ["study"],
    "study-findings": ["image", "box", "bone", "severity"],
    "finding-detail": ["box", "laterality"],
    "finding-reject": ["reason", "text"],
    "report-list": ["study", "technique"],
    "report-detail": ["findings"],
    "report-sign": ["password", "otp"],
    "report-amend": ["reason"],
    "report-agree": ["password", "otp"],
    "report-disagree": ["remark"],
    "report-withdraw": ["password", "reason"],
    "study-first-read": ["answer", "places"],
    "study-preliminary": ["answer", "note"],
    "discrepancy-rate": ["severity"],
    "discrepancy-resolve": ["resolution"],
    "recall-contacts": ["contacted_at", "way", "result"],
    "recall-close": ["outcome"],
    "macro-list": ["name", "text", "for_clinic"],
    "image-annotations": ["kind", "frame", "points", "text", "millimetres"],
    "annotation-detail": ["points", "text"],
}
# fmt: on


def send_json(client, route, world, data, **headers):
    """Send what Python's json writes, which is more than the client's own encoder lets through."""
    pk = getattr(world, route.noun).pk if route.takes_id else None
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return client.generic(
        route.method.upper(),
        route.url(pk),
        raw,
        content_type="application/json",
        HTTP_IF_MATCH=as_read(route),
        **headers,
    )


def answers_properly(response):
    assert response.status_code < 500, response.content
    if response.status_code >= 400:
        assert {"code", "detail"} <= set(response.json())
    return True


@pytest.mark.parametrize("route", FIELD_ROUTES, ids=str)
def test_nasty_values_in_every_field(route, everything, world):
    valid = body(route, world)["data"]
    for name in FIELDS.get(route.name, ["x"]):
        for value in NASTY:
            response = send_json(everything.client, route, world, valid | {name: value})
            assert answers_properly(response), (name, value)


@pytest.mark.parametrize("route", JSON_ROUTES, ids=str)
def test_bodies_that_are_not_an_object(route, everything, world):
    for raw in BODIES:
        assert answers_properly(send_json(everything.client, route, world, raw)), raw[:9]


@pytest.mark.parametrize("route", JSON_ROUTES, ids=str)
def test_nasty_bodies_with_an_idempotency_key(route, everything, world):
    for number, raw in enumerate(BODIES):
        response = send_json(
            everything.client, route, world, raw, HTTP_IDEMPOTENCY_KEY=f"k-{number}"
        )
        assert answers_properly(response), raw[:9]


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_other_media_types_and_methods(route, everything, world):
    pk = getattr(world, route.noun).pk if route.takes_id else None
    url = route.url(pk)
    for content_type in ("text/xml", "multipart/form-data", "application/json; charset=x", "?"):
        response = everything.client.generic(
            route.method.upper(), url, b"<a/>", content_type=content_type
        )
        assert answers_properly(response)
    offered = {each.method.upper() for each in ROUTES if each.name == route.name}
    for method in {"PUT", "DELETE", "OPTIONS", "TRACE", "BREW"} - offered:
        response = everything.client.generic(method, url)
        assert response.status_code == 405
        assert response.json()["code"] == "method_not_allowed"


def test_body_without_a_length_is_411(everything):
    response = everything.client.post(
        f"{API}patients/", HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH=""
    )
    assert (response.status_code, response.json()["code"]) == (411, "length_required")


@pytest.mark.parametrize("length", ["x", "-1", "1e9", "9" * 5000])
def test_length_that_is_no_number_is_refused(everything, length):
    response = everything.client.post(f"{API}patients/", CONTENT_LENGTH=length)
    assert 400 <= response.status_code < 500


def test_huge_body_is_refused_unread(everything):
    response = everything.client.generic(
        "POST",
        f"{API}patients/",
        b"{}",
        content_type="application/json",
        CONTENT_LENGTH=str(6 * 2**20),
    )
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


_TIMES = (["created_after"], ["created_before"], ["cursor"], ["page_size"])
KNOWN = {
    "patient-list": (["q"], ["record_number"], *_TIMES),
    "study-list": (["q"], ["patient"], ["status"], ["verdict"], ["priority"], *_TIMES),
    "report-list": (["study"], *_TIMES),
    "audit-event-list": (["action"], ["actor"], ["outcome"], ["at_after"], ["cursor"]),
    "model-list": (["cursor"],),
    "image-rendition": (["frame"],),
    "report-pdf": (["version"],),
}
QUERY_NAMES = (
    *("q", "record_number", "patient", "study", "status", "verdict", "priority", "cursor"),
    *("created_after", "created_before", "page_size", "frame", "version", "format", "action"),
    *("outcome", "actor", "target", "at_after", "at_before", "x"),
)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.is_safe], ids=str)
def test_nasty_query_parameters(route, everything, world):
    """Each value in one parameter that the route knows, and in all of them at once."""
    pk = getattr(world, route.noun).pk if route.takes_id else None
    for value in ("\x00", "x" * 5000, "[]", "-1", "9" * 400, "2026-13-45", "+"):
        for names in (QUERY_NAMES, *KNOWN.get(route.name, ())):
            query = dict.fromkeys(names, value)
            assert answers_properly(everything.client.get(route.url(pk), query)), (names, value)


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59", "0001-01-01", "24:00"]
)
def test_ends_of_time(everything, world, moment):
    for name in ("created_after", "created_before"):
        assert answers_properly(everything.client.get(f"{API}studies/?{name}={moment}"))


@pytest.mark.parametrize(
    "header", ["Token", "Token ", "Token \x00", "token " + "x" * 9000, "Basic x"]
)
def test_nasty_authorization(nobody, world, header):
    response = nobody.get(f"{API}me/", HTTP_AUTHORIZATION=header)
    assert response.status_code == 401


def test_every_accept_header_gets_json(everything, world):
    for accept in ("text/html", "image/*", "*/*;q=x", "\x00", ""):
        response = everything.client.get(f"{API}me/", HTTP_ACCEPT=accept)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"


NAMES = sorted({name for names in FIELDS.values() for name in names})
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.dictionaries(st.sampled_from(NAMES), JSON_VALUES))
def test_any_json_object(everything, world, data):
    for route in JSON_ROUTES:
        assert answers_properly(send_json(everything.client, route, world, data)), str(route)


def test_text_is_kept_as_it_is(everything, world):
    """Markup and unusual letters are text, neither executed nor lost."""
    text = "<b>Δx</b> ' \" \\ {{ 7 }} #let x = 1 日本 😀 \u202e"
    response = everything.client.patch(
        f"{API}reports/{world.report.pk}/", {"findings": text}, HTTP_IF_MATCH='"1-1-draft"'
    )
    assert response.json()["findings"] == text
    assert send(everything.client, next(r for r in ROUTES if r.name == "report-sign"), world)
