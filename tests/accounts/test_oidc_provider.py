"""Sign-in through a real OpenID provider on this machine, honest and hostile."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

pytestmark = pytest.mark.django_db
CLIENT, KNOWN = "fracture-site", "subject-of-the-doctor"
KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in "ab")


class Provider(ThreadingHTTPServer):
    """Answers discovery, keys, token and user info; ``change`` makes it lie."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.claims: dict[str, object] = {}
        self.config: dict[str, object] = {}
        self.user: dict[str, object] = {}
        self.key, self.algorithm, self.kid = KEY, "RS256", "one"
        self.with_token, self.challenge = True, ""

    def id_token(self) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": KNOWN, "iat": now, "exp": now + 300}
        key = {"none": None, "HS256": "s" * 32}.get(self.algorithm, self.key)
        return jwt.encode(
            {k: v for k, v in (claims | self.claims).items() if v is not None},
            key, algorithm=self.algorithm, headers={"kid": self.kid},
        )  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        at = self.server.issuer
        if self.path.endswith("openid-configuration"):
            self.tell({
                "issuer": at, "jwks_uri": f"{at}/keys", "token_endpoint": f"{at}/token",
                "authorization_endpoint": f"{at}/authorize", "userinfo_endpoint": f"{at}/me",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            } | self.server.config)  # fmt: skip
        elif self.path == "/keys":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
            self.tell({"keys": [public | {"kid": "one", "use": "sig", "alg": "RS256"}]})
        else:
            self.tell({"sub": KNOWN, "email": "doctor@x.example"} | self.server.user)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        token = {"access_token": "a", "token_type": "Bearer"}
        self.tell(token | ({"id_token": self.server.id_token()} if self.server.with_token else {}))

    def tell(self, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def provider(settings, doctor):
    server = Provider()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [{"provider_id": "hospital", "name": "Hospital", "client_id": CLIENT,
                  "secret": "s", "settings": {"server_url": server.issuer}}],
    }}  # fmt: skip
    SocialAccount.objects.create(user=doctor.user, provider="hospital", uid=KNOWN)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def begin(client: Client) -> str:
    """Go to the provider; return the state that it is to give back."""
    answer = client.post("/accounts/oidc/hospital/login/")
    asked = parse_qs(urlsplit(answer["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    return asked["state"][0]


def come_back(client: Client, state: str) -> bool:
    client.get("/accounts/oidc/hospital/login/callback/", {"code": "c", "state": state})
    return "_auth_user_id" in client.session


def test_an_honest_provider_lets_its_person_in(provider):
    client = Client()
    assert come_back(client, begin(client))


LIES = {
    "another audience": {"claims": {"aud": "another-client"}},
    "another client of the same audience": {"claims": {"aud": [CLIENT, "x"], "azp": "x"}},
    "another issuer": {"claims": {"iss": "https://id.elsewhere.example"}},
    "over": {"claims": {"exp": 1}},
    "without an end": {"claims": {"exp": None}},
    "not signed": {"algorithm": "none"},
    "signed with a shared secret": {"algorithm": "HS256"},
    "signed by somebody else": {"key": OTHER_KEY},
    "signed with an unknown key": {"kid": "two"},
    "two people": {"user": {"sub": "somebody-else"}},
    "the token of another, who is known": {"claims": {"sub": "attacker"}},
    "another person with the doctor's address": {
        "claims": {"sub": "attacker"}, "user": {"sub": "attacker"},
    },
    "no ID token": {"with_token": False},
    "the description of another": {"config": {"issuer": "https://id.elsewhere.example"}},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_hostile_answers_open_nothing(provider, doctor, lie):
    doctor.user.emailaddress_set.create(email="doctor@x.example", verified=True)
    for name, value in LIES[lie].items():
        setattr(provider, name, value)
    client = Client()
    assert not come_back(client, begin(client))
    assert SocialAccount.objects.count() == 1


def test_a_provider_that_is_away_is_no_error_of_the_site(provider, settings):
    app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
    app["settings"]["server_url"] = "http://127.0.0.1:9/"
    answer = Client().post("/accounts/oidc/hospital/login/")
    assert answer.status_code in {200, 401}
    assert b"127.0.0.1" not in answer.content


def test_a_state_belongs_to_one_browser_and_works_once(provider):
    victim, thief = Client(), Client()
    state = begin(victim)
    assert not come_back(thief, state)
    assert not come_back(thief, "made-up")
    assert come_back(victim, state)
    victim.post("/accounts/logout/")
    assert not come_back(victim, state)
