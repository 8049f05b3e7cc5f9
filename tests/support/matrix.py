"""Everybody asks for everything: requests of ten principals, and what came back."""

import copy
import dataclasses
import io
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from pypdf import PdfReader

from accounts.models import ApiToken, Membership, User
from tests.diagnosis.api.routes import Route as ApiRoute
from tests.diagnosis.api.routes import as_read
from tests.diagnosis.api.routes import body as api_body
from tests.factories import (
    PASSWORD,
    ApiTokenFactory,
    MembershipFactory,
    UserFactory,
)
from tests.support.routes import ROUTES, Route
from tests.support.tenancy import PROGRAMS, TABLE
from tests.support.two_clinics import Side, side

OURS = ("accounts:", "diagnosis:")
DICOM = ("dicomweb/studies", "series", "instances")
MISSING = "00000000-0000-4000-8000-000000000000"
SIGN_IN = re.compile(r"^/(accounts/(login|2fa|reauthenticate)|admin/login)/")


@dataclass
class Principal:
    """Who asks; ``side`` is their clinic, or the one whose things they ask for first."""

    name: str
    client: Client
    side: Side
    member: bool = True


@dataclass
class Answer:
    """What came back, read to its end."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def is_open(self) -> bool:
        """Whether the door opened: anything but sign-in, refusal, absence, wrong method."""
        if self.status in {301, 302}:
            return not SIGN_IN.match(self.headers.get("Location", ""))
        return self.status not in {401, 403, 404, 405}

    def text(self) -> bytes:
        """Return all that can be read in it, packed or not, with its headers."""
        parts = [self.body, repr(sorted(self.headers.items())).encode()]
        if self.body[:4] == b"%PDF":
            parts += [page.extract_text().encode() for page in PdfReader(_file(self.body)).pages]
        if self.body[:2] == b"PK":
            packed = zipfile.ZipFile(_file(self.body))
            parts += [name.encode() + packed.read(name) for name in packed.namelist()]
        return b"\n".join(parts)


def _file(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)


@dataclass
class Figures:
    """How much was asked."""

    routes: int = 0
    requests: int = 0
    leaks: list[str] = field(default_factory=list)
    headers: set[str] = field(default_factory=set)


def signed_in(user: User) -> Client:
    """Sign in, confirmed a moment ago: no page asks for the password first."""
    client = Client(raise_request_exception=False)
    client.force_login(user)
    session = client.session
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time(), "reauthenticated": True}
    ]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
    return client


def with_token(member: Membership, scope: str = ApiToken.Scope.READ) -> Client:
    token = ApiTokenFactory(membership=member, scope=scope, name="matrix")
    return Client(raise_request_exception=False, headers={"Authorization": f"Token {token.secret}"})


def principals(a: Side, b: Side) -> list[Principal]:
    """Return the ten who ask."""
    gone = MembershipFactory(clinic=a.clinic, doctor=True)
    no_longer = Principal("deactivated", signed_in(gone.user), a, member=False)
    gone.user.is_active = False
    gone.user.save()
    # A's doctor in every respect but that A, for them, asks for a second factor: a clinic of its
    # own, because the others of A have none either.
    careless = MembershipFactory(doctor=True, clinic__second_factor_required=True)
    strict = dataclasses.replace(a, clinic=careless.clinic)
    platform = UserFactory(is_staff=True, is_superuser=True)
    return [
        Principal("anonymous", Client(raise_request_exception=False), a, member=False),
        Principal("doctor", signed_in(a.doctor.user), a),
        Principal("colleague", signed_in(a.colleague.user), a),
        Principal("admin", signed_in(a.admin.user), a),
        Principal("doctor B", signed_in(b.doctor.user), b),
        Principal("admin B", signed_in(b.admin.user), b),
        Principal("platform", signed_in(platform), a, member=False),
        no_longer,
        Principal("token", with_token(a.doctor), a),
        Principal("no factor", signed_in(careless.user), strict, member=False),
    ]


def ask(
    who: Principal, method: str, route: Route, ids: dict[str, str], other: Side | None = None
) -> Answer:
    """Ask, and undo what it changed. ``other``: whose ids the query and the body name."""
    address = route.address(ids)
    named = (other or who.side).ids
    cookies = copy.deepcopy(who.client.cookies)
    with transaction.atomic():
        response = _send(who.client, method, address, route, named, foreign=other is not None)
        body = b"".join(response) if response.streaming else response.content
        answer = Answer(response.status_code, body, dict(response.headers))
        transaction.set_rollback(True)
    who.client.cookies = cookies  # signing out, too, is undone
    return answer


def _send(
    client: Client, method: str, address: str, route: Route, ids: dict[str, str], *, foreign: bool
) -> Any:
    names = {
        "patient": ids["patients"], "study": ids["studies"], "image": ids["images"],
        "prior": ids["studies"], "into": ids["patients"], "member": ids["members"],
        "doctor": ids["user"], "destination": ids["destinations"], "source": ids["destinations"],
        "finding": ids["findings"], "report": ids["reports"], "clinic": ids["clinic"],
        "with": ids["patients"], "other": ids["patients"], "filter": ids["filters"],
        "StudyInstanceUID": ids["dicomweb/studies"], "version": ids["models"],
    }  # fmt: skip
    if method == "get":
        return client.get(address, names if foreign else {})
    if route.name.startswith("api:"):
        return _send_api(client, method, address, route, ids)
    if address.startswith(PROGRAMS):
        return getattr(client, method)(address, names, content_type="application/json")
    form = names | TEXTS
    if method == "post":
        file = SimpleUploadedFile("x.png", b"no image", "image/png")
        return client.post(address, {**form, "file": file, "files": file})
    return getattr(client, method)(address, form, content_type="application/json")


def _send_api(client: Client, method: str, address: str, route: Route, ids: dict[str, str]) -> Any:
    """Send what a member of the ids' clinic could send; the catch-all route takes anything."""
    found = ApiRoute(route.name.removeprefix("api:"), method, route.takes_id)
    known = found.name not in {"unknown", "schema", "docs"}
    options = dict(api_body(found, _World(ids))) if known else {"data": {}, "format": "json"}
    # The finding here has a review.
    options |= {"HTTP_IF_MATCH": as_read(found).replace('"0"', '"1"')}
    data, form = options.pop("data", b""), options.pop("format", "")
    if form == "json":
        options["content_type"] = "application/json"
    if form == "multipart":
        return client.post(address, data, **options)
    if isinstance(data, bytes):
        kind = options.pop("content_type", "")
        return client.generic(method.upper(), address, data, content_type=kind, **options)
    return getattr(client, method)(address, data, **options)


# Enough to get past most forms, so that what stands behind them is reached.
TEXTS = {
    "record_number": "N-1", "family_name": "New", "given_name": "Ada", "password": PASSWORD,
    "reason": "A reason.", "name": "A name", "text": "A text.", "email": "x@y.example",
    "roles": "doctor", "answer": "yes", "clinical_question": "Fall", "priority": "1",
    "question": "What do you see?", "days": "7", "passcode": "123456", "verb": "recall",
    "kind": "length", "points": "[[1,1],[2,2]]", "severity": "minor", "way": "phone",
    "contacted_at": "2026-01-01T09:00",
    "result": "reached", "x": "1", "y": "1", "width": "9", "height": "9", "q": "a", "scope": "read",
}  # fmt: skip


class _World:
    """The ids of a clinic as the API's example bodies name them."""

    def __init__(self, ids: dict[str, str]) -> None:
        self._ids = ids

    def __getattr__(self, name: str) -> Any:
        plural = {"study": "studies"}.get(name, f"{name}s")
        return type("Row", (), {"pk": self._ids[plural], "record_number": "4711"})


def cases(routes: tuple[Route, ...], member: Principal) -> Iterator[tuple[Route, str]]:
    """Yield each method that a route offers; a member finds out which a page does."""
    for route in routes:
        for method in route.methods:
            is_page = len(route.methods) == 5 and not route.name.endswith(":unknown")
            if not is_page or method in {"get", "post"}:
                yield route, method
            elif not route.name.startswith(OURS):  # the libraries' forms take any method as POST
                continue
            elif ask(member, method, route, member.side.ids).status not in {403, 404, 405}:
                yield route, method


def leaks(answer: Answer, asked: str, of: Side) -> list[str]:
    """Return what of another clinic is in an answer, beyond what the request itself said."""
    text = answer.text().decode(errors="replace")
    found = [of.mark] if of.mark in text else []
    return found + [one for one in of.own if one in text and one not in asked]


@dataclass
class Matrix:
    """Two clinics, those who ask, and what they may ask."""

    a: Side
    b: Side
    principals: list[Principal]
    cases: list[tuple[Route, str]]
    figures: Figures
    cleanup: list[Callable[[], None]]
    whole: bool = False

    def by_name(self, name: str) -> Principal:
        """Return one of those who ask."""
        return next(who for who in self.principals if who.name == name)

    def asking_for_own(self, method: str, route: Route) -> list[Principal]:
        """Return who asks for things of their own clinic; B's people are like A's.

        The short run leaves out who is stopped at the same place whatever they ask for.
        """
        names = {"anonymous", "doctor", "admin", "platform", "token"}
        if self.whole or (method == "get" and route.name.startswith((*OURS, "api:"))):
            names |= {"colleague", "deactivated", "no factor"}
        if not route.pattern.startswith(PROGRAMS):
            names -= {"token"}  # only programs' doors look at it
        if route.name.startswith("admin:"):
            names &= {"anonymous", "admin", "platform"} if method == "get" else {"platform"}
        if method not in TABLE.get(route.name, {}):
            names &= {"anonymous", "doctor"}  # not offered
        return [who for who in self.principals if who.name in names]

    def ask(self, who: Principal, method: str, route: Route) -> Answer:
        """Ask for something of one's own clinic."""
        self.figures.requests += 1
        answer = ask(who, method, route, who.side.ids)
        self._look(who, method, route, answer, "")
        return answer

    def trespassers(self, method: str, route: Route) -> list[Principal]:
        """Return who is nobody in the other clinic."""
        if method not in TABLE.get(route.name, {}):
            return []
        if route.name.startswith("admin:"):
            return [self.by_name("platform")] if self.whole or method == "get" else []
        names = ["doctor B", "admin B"]
        if self.whole:
            names += ["anonymous", "platform", "doctor", "token"]
        is_program = route.pattern.startswith(PROGRAMS)
        return [self.by_name(name) for name in names if is_program or name != "token"]

    def trespass(self, who: Principal, method: str, route: Route, *, alike: bool = True) -> None:
        """Ask for what is of the other clinic: by address, or in query and body."""
        other = self.a if who.side is self.b else self.b
        asked = str(sorted(other.ids.values()))
        ids = other.ids if route.takes_id else who.side.ids
        self.figures.requests += 1
        answer = ask(who, method, route, ids, other)
        self._look(who, method, route, answer, asked, other)
        if not alike or not route.takes_id or _belongs_to_all(route):
            return
        if answer.status < 300:
            self.figures.leaks.append(f"{who.name}: {method} {route.name} gives {answer.status}")
        if who.name == "doctor B" or (self.whole and who.member):
            missing = dict.fromkeys(ids, MISSING) | dict.fromkeys(DICOM, "1.2.3")
            self.figures.requests += 1
            told = ask(who, method, route, missing, other)
            if (told.status, plain(told.body)) != (answer.status, plain(answer.body)):
                self.figures.leaks.append(f"{method} {route.name} tells missing from foreign")

    def _look(
        self, who: Principal, method: str, route: Route, answer: Answer, asked: str,
        other: Side | None = None,
    ) -> None:  # fmt: skip
        self.figures.headers |= {
            f"{route.name}: {flaw}"
            for flaw in header_flaws(answer, personal=not _is_public(method, route))
            if (route.name, flaw) not in WORKER
        }
        if answer.status >= 500 and route.name != "readyz":
            self.figures.leaks.append(f"{who.name}: {method} {route.name} is {answer.status}")
        if _belongs_to_all(route):
            return
        foreign = other or (self.a if who.side is self.b else self.b)
        hidden = [self.a, self.b] if not who.member else [foreign]
        for whose in hidden:
            told = leaks(answer, asked + str(sorted(whose.ids.values())), whose)
            if told:
                self.figures.leaks.append(f"{who.name}: {method} {route.name} tells {told[:2]}")

    def close(self) -> None:
        """Undo what is not in the database."""
        for undo in self.cleanup:
            undo()


def header_flaws(answer: Answer, *, personal: bool) -> list[str]:
    """Return what the headers of an answer lack."""
    sent = {name.lower(): value for name, value in answer.headers.items()}
    policy = sent.get("content-security-policy", "")
    sandboxed = "sandbox" in policy
    wanted = {
        "nosniff": sent.get("x-content-type-options") == "nosniff",
        "referrer policy": sent.get("referrer-policy") == "same-origin",
        "frames": sent.get("x-frame-options") == "DENY",
        "opener policy": sent.get("cross-origin-opener-policy") == "same-origin",
        "default-src 'none'": "default-src 'none'" in policy,
        "frame-ancestors": "frame-ancestors 'none'" in policy or sandboxed,
        "base-uri": "base-uri 'none'" in policy or "html" not in sent.get("content-type", ""),
        "no inline script": "unsafe" not in policy.replace("'wasm-unsafe-eval'", ""),
        "no foreign origin": "access-control-allow-origin" not in sent,
        "content type": bool(sent.get("content-type")) or not answer.body,
        "charset": "charset=" in sent.get("content-type", "charset=") or not _is_text(sent),
        "cache": not personal or "public" not in sent.get("cache-control", ""),
    }
    return [name for name, is_there in wanted.items() if not is_there]


# A script for a thread of its own, which is no document; it may not even call home.
WORKER = {("diagnosis:live-worker", flaw) for flaw in ("base-uri", "frame-ancestors")}


def _is_public(method: str, route: Route) -> bool:
    return TABLE.get(route.name, {}).get(method, "").startswith("public")


def _is_text(sent: dict[str, str]) -> bool:
    return sent.get("content-type", "").startswith("text/")


def _belongs_to_all(route: Route) -> bool:
    """Return whether what is there is no clinic's: models, links with a secret, staff's lists.

    Operators see clinics, people and who is a member where; nothing of a patient is on their pages
    (``tests/accounts/test_admin.py``).
    """
    return route.name.startswith(
        ("fhir:Device", "fhir:DocumentReference", "diagnosis:model-", "diagnosis:shared-open",
         "accounts:invitation-open", "diagnosis:report-verify", "admin:accounts_",
         "admin:/admin/accounts/", "admin:diagnosis_modelversion", "admin:view_on_site",
         "admin:/admin/diagnosis/modelversion", "admin:diagnosis_joboverview",
         "admin:/admin/diagnosis/joboverview", "admin:diagnosis_hl7sender")
    )  # fmt: skip


_IDS = re.compile(rb"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\b[0-9.]{5,64}\b")
_NONCES = re.compile(rb'nonce="[^"]*"')
_ASKED = re.compile(rb'[?&]next=[^"]*"')  # the way back after sign-in: the request's own address
_TOKENS = re.compile(rb'(csrf\w*"[^>]*value=|X-CSRFToken[^A-Za-z]*)"?[A-Za-z0-9]+', re.IGNORECASE)


def plain(body: bytes) -> bytes:
    """Return a body without ids, and without what is new in each answer or said by the request."""
    return _TOKENS.sub(b"", _NONCES.sub(b"", _ASKED.sub(b"", _IDS.sub(b"", body))))


def matrix(*, whole: bool = False) -> Matrix:
    """Make all of it; the limits of attempts are off, they would end the walk."""
    patience, limits = settings.ACCOUNT_REAUTHENTICATION_TIMEOUT, settings.ACCOUNT_RATE_LIMITS
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT, settings.ACCOUNT_RATE_LIMITS = 24 * 3600, False

    def limits_again() -> None:
        settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = patience
        settings.ACCOUNT_RATE_LIMITS = limits

    a, b = side("a"), side("b")
    everybody = principals(a, b)
    doctor = next(who for who in everybody if who.name == "doctor")
    found = list(cases(ROUTES, doctor))
    figures = Figures(routes=len(ROUTES))
    return Matrix(a, b, everybody, found, figures, [limits_again], whole)
