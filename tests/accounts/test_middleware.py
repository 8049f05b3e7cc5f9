"""One transaction a request, in one clinic; what goes wrong leaves nothing but its trace."""

import io
import json
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.middleware import SESSION_KEY
from accounts.models import AuditEvent, Clinic
from accounts.services import member_deactivate
from accounts.tenancy import clinic_scope
from tests.factories import ApiTokenFactory, MembershipFactory, PatientFactory, UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.accounts.urls")]
PREFIXES = ["/test/", "/api/test/"]


@pytest.fixture
def client(doctor) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(doctor.user)
    return client


class CountingStream(io.BytesIO):
    """A body that knows whether somebody read it."""

    was_read = False

    def read(self, *args):
        self.was_read = True
        return super().read(*args)


def trace() -> bool:
    return Clinic.objects.filter(name__startswith="Trace").exists()


def denials(clinic_id) -> list[AuditEvent]:
    with clinic_scope(clinic_id):
        return list(AuditEvent.objects.filter(outcome="denied"))


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("outcome", ["crash", "database", "unavailable"])
def test_a_server_error_leaves_nothing(client, prefix, outcome):
    assert client.get(prefix + outcome).status_code in {500, 503}
    assert not trace()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("outcome", ["crash", "database"])
def test_a_server_error_leaves_nothing_in_a_real_transaction_either(client, outcome):
    assert client.get(f"/test/{outcome}").status_code == 500
    assert not trace()
    assert client.get("/test/ok").status_code == 200
    assert trace()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_denied_action_leaves_nothing_but_its_audit_event(client, doctor, prefix):
    answer = client.get(prefix + "denied")
    assert answer.status_code == 403
    assert not trace()
    (event,) = denials(doctor.clinic_id)
    assert (event.actor, event.action) == (doctor.user, "report.sign")


def test_refusals_have_their_own_status(client):
    assert client.get("/test/forbidden").status_code == 403
    assert client.get("/test/missing").status_code == 404
    assert not trace()
    answer = client.get("/test/conflict")
    assert answer.status_code == 409
    assert "It is taken." in answer.content.decode()
    assert client.get("/api/test/conflict").json() == {"code": "taken", "detail": "It is taken."}


def test_the_api_answers_in_json_where_no_view_does(client):
    assert client.get("/api/v1/no-such-thing/").json()["code"] == "not_found"
    assert client.get("/api/test/crash").json()["code"] == "internal"


def test_an_error_page_tells_nothing_of_the_error(client):
    assert "ZeroDivision" not in client.get("/test/crash").content.decode()


@pytest.mark.parametrize("method", ["get", "options", "post"])
def test_the_view_runs_in_the_clinic_of_the_member(client, doctor, method):
    answer = getattr(client, method)("/test/where").json()
    assert answer == {
        "scope": str(doctor.clinic_id),
        "database": str(doctor.clinic_id),
        "membership": str(doctor.pk),
        "in_transaction": True,
    }
    assert client.head("/test/where").status_code == 200


def test_nobody_and_people_without_clinic_are_in_no_clinic():
    for user in (None, UserFactory(), UserFactory(is_staff=True, is_superuser=True)):
        client = Client()
        if user:
            client.force_login(user)
        answer = client.get("/test/where").json()
        assert (answer["scope"], answer["database"]) == ("None", "")


def test_a_template_that_renders_late_still_sees_the_clinic(client, doctor):
    PatientFactory(clinic=doctor.clinic)
    assert client.get("/test/late").content == b"1 patients"


@pytest.mark.django_db(transaction=True)
def test_a_streaming_body_runs_after_the_transaction_and_sees_nothing(client, doctor):
    PatientFactory(clinic=doctor.clinic)
    assert client.get("/test/streamed").getvalue() == b"None 0 False"


@pytest.mark.django_db(transaction=True)
def test_the_scope_does_not_outlive_the_request(client):
    client.get("/test/where")
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.clinic', true)")
        assert not cursor.fetchone()[0]


def test_health_needs_no_transaction(client):
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("zone", "offset"), [("Asia/Tokyo", "+0900"), ("UTC", "+0000"), ("Moon/Crater", "+0000")]
)
def test_pages_show_the_clock_of_the_clinic_and_the_api_does_not(client, doctor, zone, offset):
    doctor.clinic.time_zone = zone
    doctor.clinic.save()
    assert client.get("/test/clock").content.decode() == offset
    assert client.get("/api/test-clock").content.decode() == "+0000"
    assert timezone.localtime().strftime("%z") == "+0000"


class TestTwoClinics:
    @pytest.fixture
    def other(self, doctor, stranger):
        return MembershipFactory(user=doctor.user, clinic=stranger.clinic)

    def test_a_new_membership_does_not_move_a_person(self, client, doctor):
        client.get("/test/where")
        MembershipFactory(user=doctor.user, clinic__name="AAA first of all")
        assert client.get("/test/where").json()["scope"] == str(doctor.clinic_id)

    def test_the_chosen_clinic_counts(self, client, other):
        client.get("/test/where")
        answer = client.post("/clinic/switch/", {"membership": other.pk})
        assert answer.status_code == 302
        assert client.get("/test/where").json()["scope"] == str(other.clinic_id)

    def test_a_clinic_without_membership_cannot_be_chosen(self, client, stranger):
        for pk in (stranger.pk, uuid4(), "nonsense", ""):
            assert client.post("/clinic/switch/", {"membership": pk}).status_code == 404

    def test_a_form_of_the_former_clinic_is_refused_after_the_switch(self, doctor, other):
        client = Client(enforce_csrf_checks=True)
        client.force_login(doctor.user)
        client.get("/accounts/login/")
        client.get("/tokens/")
        old = client.cookies["csrftoken"].value
        switch = {"membership": other.pk, "csrfmiddlewaretoken": old}
        assert client.post("/clinic/switch/", switch).status_code == 302
        late = client.post("/test/ok", {"csrfmiddlewaretoken": old})
        assert late.status_code == 403
        assert not trace()

    def test_what_is_still_sent_to_an_ended_membership_lands_nowhere(
        self, client, doctor, other, admin
    ):
        client.get("/test/where")
        assert client.session[SESSION_KEY] == str(doctor.clinic_id)
        with clinic_scope(doctor.clinic_id):
            member_deactivate(actor=admin.user, membership=doctor)
        assert client.post("/test/where").json()["scope"] == "None"
        assert client.get("/test/where").json()["scope"] == str(other.clinic_id)
        assert client.post("/test/where").json()["scope"] == str(other.clinic_id)


class TestRefusedChanges:
    """Also what no view decides is audited, once."""

    def test_a_change_with_a_token_that_may_only_read(self, doctor):
        token = ApiTokenFactory(membership=doctor, scope="read")
        headers = {"authorization": f"Token {token.secret}"}
        assert Client().get("/api/v1/patients/", headers=headers).status_code == 200
        assert denials(doctor.clinic_id) == []
        assert Client().post("/api/v1/patients/", headers=headers).status_code == 403
        (event,) = denials(doctor.clinic_id)
        assert (event.action, event.token_id) == ("token.write", token.pk)
        assert event.clinic_id == doctor.clinic_id

    @pytest.mark.parametrize("url", ["/api/v1/patients/", "/patients/new/", "/tokens/"])
    def test_a_change_by_somebody_without_clinic(self, url):
        client, user = Client(), UserFactory()
        client.force_login(user)
        assert client.get(url).status_code == 403
        assert denials(None) == []
        assert client.post(url).status_code == 403
        (event,) = denials(None)
        assert (event.action, event.actor, event.clinic_id) == ("clinic.enter", user, None)

    def test_what_nobody_sends_is_not(self):
        assert Client().post("/api/v1/patients/").status_code == 401
        assert denials(None) == []


class TestTokenAndSession:
    def test_a_token_request_neither_reads_nor_changes_the_session(self, client, doctor, stranger):
        token = ApiTokenFactory(membership=stranger)
        client.get("/test/where")
        answer = client.get("/api/test/ok", HTTP_AUTHORIZATION=f"Token {token.secret}")
        assert answer.json() == {"user": str(stranger.user_id), "session": []}
        assert "sessionid" not in answer.cookies
        assert client.get("/test/where").json()["scope"] == str(doctor.clinic_id)

    def test_a_wrong_token_never_falls_back_to_the_session(self, client):
        assert client.get("/api/test/ok").status_code == 200
        answer = client.get("/api/test/ok", HTTP_AUTHORIZATION="Token fs_wrong")
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == "Token"

    def test_a_token_opens_no_page(self, doctor):
        token = ApiTokenFactory(membership=doctor)
        answer = Client().get("/test/where", HTTP_AUTHORIZATION=f"Token {token.secret}")
        assert answer.json()["scope"] == "None"

    def test_a_session_needs_the_forgery_token_and_an_api_token_does_not(self, doctor):
        client = Client(enforce_csrf_checks=True)
        client.force_login(doctor.user)
        assert client.post("/api/test/ok").status_code == 403
        token = ApiTokenFactory(membership=doctor)
        answer = client.post("/api/test/ok", HTTP_AUTHORIZATION=f"Token {token.secret}")
        assert answer.status_code == 200

    def test_what_a_token_does_is_audited_as_such(self, doctor):
        token = ApiTokenFactory(membership=doctor)
        Client().get("/api/test/denied", HTTP_AUTHORIZATION=f"Token {token.secret}")
        (event,) = denials(doctor.clinic_id)
        assert (event.actor, event.token_id) == (doctor.user, token.pk)


PAGE_UPLOAD = f"/studies/{uuid4()}/upload/"
API_UPLOAD = f"/api/v1/studies/{uuid4()}/images/"
MULTIPART = "multipart/form-data; boundary=b"
JSON = "application/json"


class TestBodies:
    """What the server reads, and for whom."""

    @pytest.fixture
    def send(self):
        """Return a function that posts a body and says whether any of it was read."""

        def send(client, url, size, *, content_type=MULTIPART, method="POST", **extra):
            part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
            stream = CountingStream(part + b"x" * min(size, 1000) + b"\r\n--b--\r\n")
            environ = {
                "wsgi.input": stream, "CONTENT_LENGTH": str(size), "CONTENT_TYPE": content_type,
            }  # fmt: skip
            answer = client.generic(method, url, **environ | extra)
            return answer, stream.was_read

        return send

    @pytest.mark.parametrize("url", [PAGE_UPLOAD, API_UPLOAD])
    def test_an_upload_over_the_limit_is_refused_unread_whoever_sends_it(
        self, client, send, settings, url
    ):
        for sender in (client, Client()):
            answer, was_read = send(sender, url, settings.INGEST_MAX_BYTES + 2**20 + 1)
            assert (answer.status_code, was_read) == (413, False)

    @pytest.mark.parametrize("content_type", [MULTIPART, JSON, "application/octet-stream", ""])
    @pytest.mark.parametrize(
        ("method", "url"),
        [
            ("POST", "/accounts/login/"),
            ("POST", "/studies/new/"),
            ("POST", "/api/test/ok"),
            ("POST", "/no/such/page"),
            ("POST", f"/x{PAGE_UPLOAD}"),
            ("PUT", API_UPLOAD),
            ("GET", PAGE_UPLOAD),
        ],
    )
    def test_everywhere_else_only_forms_fit(self, client, send, method, url, content_type):
        for sender in (client, Client(enforce_csrf_checks=True)):
            answer, was_read = send(
                sender, url, 7 * 2**20, method=method, content_type=content_type
            )
            assert (answer.status_code, was_read) == (413, False)
            if url.startswith("/api/"):
                assert answer.json()["code"] == "too_large"

    def test_an_upload_of_nobody_is_answered_unread(self, send):
        nobody = Client(enforce_csrf_checks=True)
        answer, was_read = send(nobody, PAGE_UPLOAD, 50 * 2**20)
        assert (answer.status_code, was_read) == (302, False)
        assert answer["Location"].startswith("/accounts/login/")
        for headers in ({}, {"HTTP_AUTHORIZATION": "Token fs_wrong"}):
            answer, was_read = send(nobody, API_UPLOAD, 50 * 2**20, **headers)
            assert (answer.status_code, was_read) == (401, False)

    def test_an_upload_with_a_token_that_may_only_read_is_answered_unread(self, send, doctor):
        token = ApiTokenFactory(membership=doctor, scope="read")
        headers = {"HTTP_AUTHORIZATION": f"Token {token.secret}"}
        answer, was_read = send(Client(), API_UPLOAD, 1000, **headers)
        assert (answer.status_code, was_read) == (403, False)

    def test_uploads_of_members_are_read(self, client, send, doctor):
        token = ApiTokenFactory(membership=doctor)
        headers = {"HTTP_AUTHORIZATION": f"Token {token.secret}"}
        assert send(client, PAGE_UPLOAD, 1000)[1]
        assert send(Client(), API_UPLOAD, 1000, **headers)[1]

    @pytest.mark.parametrize("length", ["-1", "many", "9" * 5000, ""])
    def test_a_length_that_is_none_breaks_nothing(self, client, send, length):
        for url in (PAGE_UPLOAD, "/test/ok", "/accounts/login/"):
            answer, _read = send(client, url, 10, CONTENT_LENGTH=length)
            assert answer.status_code < 500

    def test_a_broken_form_is_a_bad_request(self, client):
        answer = client.generic(
            "POST", PAGE_UPLOAD, b"nonsense", content_type="multipart/form-data"
        )
        assert answer.status_code == 400

    def test_json_passes(self, client):
        answer = client.post("/api/test/ok", json.dumps({}), content_type="application/json")
        assert answer.status_code == 200
