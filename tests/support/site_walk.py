"""Every page of the site with something on it: the addresses come from the routes themselves."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from allauth.account.forms import EmailAwarePasswordResetTokenGenerator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.models import Invitation, Membership, Role, SmartApp
from accounts.selectors import secret_hash
from accounts.tenancy import clinic_scope
from diagnosis.models import ModelVersion, SiteValidation, StudyImage
from diagnosis.services.site_validations import validation_request
from diagnosis.site_figures import site_figures
from tests.diagnosis.dashboard.test_validation_words import cases
from tests.diagnosis.test_reports import readable_study, sign
from tests.factories import (
    PASSWORD,
    AlertFactory,
    AlertRecipientFactory,
    ApiTokenFactory,
    DeliveryFactory,
    DestinationFactory,
    DeviceFactory,
    ErasureFactory,
    MembershipFactory,
    ModelVersionFactory,
    PatientExportFactory,
    PatientFactory,
    PriorFetchFactory,
    RetentionHoldFactory,
    ShareCommentFactory,
    StudyFactory,
    StudyImageFactory,
    StudyShareFactory,
    UserFactory,
    reading_rows,
)
from tests.support.passkey import registration

# Not pages of the site: programs' doors, and Django's own administration for operators.
ELSEWHERE = ("/api/", "/fhir/", "/admin/")
PLACEHOLDER = UUID("00000000-0000-4000-8000-000000000000")
SECRET = "s" * 43


@dataclass
class Answer:
    """What came back, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_page(self) -> bool:
        """Whether a person would see it as a whole page."""
        html = self.headers.get("Content-Type", "").startswith("text/html")
        return html and self.status != 405 and b"<html" in self.body


@dataclass
class Site:
    """Clients, and what stands for an id below each beginning of an address."""

    # Who may open all, who has a second factor, who holds links, the window that an app opened.
    people: list[Client]
    guests: dict[str, Client]  # pages of one step on the way in; other pages would end it
    ids: dict[str, object]
    more: list[str]

    def page(self, address: str, language: str = "en") -> Answer:
        """Return the answer to the first who sees something there."""
        if guest := self.guests.get(address):
            return _answer(guest, address, language)
        answers = (_answer(client, address, language) for client in self.people)
        first = next(answers)
        if first.status not in {302, 404}:
            return first
        return next((each for each in answers if each.status not in {302, 403, 404}), first)


def _answer(client: Client, address: str, language: str) -> Answer:
    answer = client.get(address, headers={"accept-language": language})
    body = b"".join(answer) if answer.streaming else answer.content
    return Answer(answer.status_code, dict(answer.headers), body)


def routes(patterns: Any = None, prefix: str = "/") -> Iterator[str]:
    """Yield the pattern of every address."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, path)
        elif isinstance(entry, URLPattern) and not path.startswith(ELSEWHERE):
            yield path


def address(route: str, ids: dict[str, object]) -> str:
    """Return the address of a route, with real ids where there is a row for it."""
    beginning = max((name for name in ids if route.startswith(name)), key=len, default="")
    value = str(ids.get(beginning, PLACEHOLDER))
    route = re.sub(r"<int:number>", "1", route)
    route = re.sub(r"<(\w+:)?\w+>|\(\?P<\w+>.*?\)(?=[/$.-]|$)", value, route)
    return re.sub(r"\\[AZ]|[\^$?]", "", route)


def site() -> Site:
    """Make one row of each kind that has a page, and sign in somebody who may open them all."""
    me = MembershipFactory(roles=list(Role.values))
    me.user.is_staff = me.user.is_superuser = True
    me.user.save()
    clinic = me.clinic
    study = readable_study(me)
    waiting = readable_study(me)
    with clinic_scope(clinic.pk):
        image = study.images.get()
        key = image.rendition_keys[0]
        StudyImage.objects.update(
            thumbnail_key=key, served_key=key, served_content_type="image/jpeg"
        )
        report, version = sign(me, study)
        earlier = StudyImageFactory(
            study=StudyFactory(patient=study.patient), rendition_keys=[key], thumbnail_key=key
        )
    reading_rows(version, leaves=False)
    twin = PatientFactory(clinic=clinic)
    AlertRecipientFactory(alert=AlertFactory(study=waiting), user=me.user)
    colleague = MembershipFactory(doctor=True, clinic=clinic)
    token = ApiTokenFactory(membership=me)
    erasure = ErasureFactory(patient=twin)
    export = PatientExportFactory(patient=study.patient, requested_by=me.user, object_key=key)
    RetentionHoldFactory(patient=study.patient, placed_by=me.user)
    destination = DestinationFactory(clinic=clinic)
    DeliveryFactory(study=study, destination=destination)
    share = StudyShareFactory(study=study, created_by=me.user, token_hash=secret_hash(SECRET))
    ShareCommentFactory(share=share)
    totp.TOTP.activate(colleague.user, "A" * 32)
    RecoveryCodes.activate(colleague.user)
    passkey = Authenticator.objects.create(
        user=colleague.user, type="webauthn", data={"name": "Key", "credential": registration()}
    )
    email = EmailAddress.objects.create(user=UserFactory(), email="other@x.example")
    Invitation.objects.create(
        clinic=clinic, email="new@x.example", roles=[Role.DOCTOR], invited_by=me.user,
        token_hash=secret_hash(SECRET), expires_at=timezone.now() + timedelta(days=7),
    )  # fmt: skip
    app = SmartApp.objects.create(name="Viewer", redirect_uris=["https://app.example/"])
    launch = ApiTokenFactory(
        membership=me, app=app, scope="read", smart_scopes="launch/patient patient/*.rs",
        patient_id=study.patient_id,
    )  # fmt: skip
    model = ModelVersionFactory()
    finished, waits = _validations(me, model)
    ids: dict[str, object] = {
        "/patients/": study.patient_id,
        "/studies/": waiting.pk,
        "/images/": image.pk,
        "/reports/": report.pk,
        "/clinic/members/": colleague.pk,
        "/clinic/destinations/": destination.pk,
        "/clinic/devices/": DeviceFactory(membership=me).pk,
        "/models/": model.pk,
        "/erasures/": erasure.pk,
        "/exports/": export.pk,
        "/tokens/": token.pk,
        "/invitation/": SECRET,
        "/second-opinion/": SECRET,
        "/second-opinion/study/": share.pk,
        "/verify/": version.content_sha256,
        "/validations/": finished.pk,
        "/dashboard/": "volume",
        "/prior-fetches/": PriorFetchFactory(study=study, requested_by=me.user).pk,
        "/launch/study/": study.pk,
        "/accounts/2fa/webauthn/keys/": passkey.pk,
    }
    more = [
        "/oauth/authorize?"
        + urlencode(
            {
                "response_type": "code",
                "client_id": app.pk,
                "redirect_uri": "https://app.example/",
                "scope": "user/Patient.read",
                "state": "s",
                "aud": f"{settings.BASE_URL}/fhir/R4",
                "code_challenge": "c" * 43,
                "code_challenge_method": "S256",
            }
        ),
        f"/studies/new/?patient={study.patient_id}",
        f"/validations/{waits.pk}/",
        f"/studies/{study.pk}/",
        f"/studies/{study.pk}/?prior={earlier.study_id}",
        f"/studies/{StudyFactory(patient=twin).pk}/",
        f"/verify/{'0' * 64}/",
        "/?tab=all",
        "/nowhere/",
    ]
    nobody = Client(raise_request_exception=False)
    for path in (f"/second-opinion/{SECRET}/", f"/invitation/{SECRET}/"):
        nobody.get(path)  # who opened the link may see the page
    window = Client(raise_request_exception=False)
    session = window.session
    session["launched"] = {str(study.pk): str(launch.pk)}
    session.save()
    people = [_signed_in(me), _signed_in(colleague), nobody, window]
    forgot, new_password = _forgot_password(me)
    guests = {
        "/accounts/2fa/authenticate/": _half_signed_in(colleague),
        new_password: forgot,
        # It would sign out whoever else it is.
        f"/accounts/confirm-email/{EmailConfirmationHMAC(email).key}/": Client(),
    }
    return Site(people, guests, ids, [*more, *guests])


def _validations(me: Membership, model: ModelVersion) -> tuple[SiteValidation, SiteValidation]:
    """Return one with figures and one that waits."""
    days = {"first": date(2026, 1, 1), "last": date(2026, 3, 31)}
    own = {"clinic": me.clinic, "requested_by": me.user}
    result = site_figures(cases(34, 210, sensitivity=0.9), progress=lambda _percent: None) | {
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "thresholds": {"suspicion": 0.2, "definite": 0.7},
        "studies": 248,
        "left_out": {"not_reported": 1, "undecided": 1, "no_result": 2, "cannot_assess": 0},
        "missed_count": 1,
        "missed": [{"study": str(PLACEHOLDER), "probability": 0.1, "region": "leg"}],
    }
    with clinic_scope(me.clinic_id):
        finished = SiteValidation.objects.create(
            **own, **days, model_version=model, status="succeeded", progress=100, result=result,
            started_at=timezone.now(), finished_at=timezone.now(),
        )  # fmt: skip
        waits = validation_request(actor=me.user, clinic_id=me.clinic_id, version=model, **days)
    return finished, waits


def _half_signed_in(member: Membership) -> Client:
    """Give the right password alone where a second factor is due."""
    client = Client(raise_request_exception=False)
    client.post("/accounts/login/", {"login": member.user.email, "password": PASSWORD})
    return client


def _forgot_password(member: Membership) -> tuple[Client, str]:
    """Open the link of a password e-mail, and return where it leads."""
    client = Client(raise_request_exception=False)
    key = EmailAwarePasswordResetTokenGenerator().make_token(member.user)
    link = f"/accounts/password/reset/key/{user_pk_to_url_str(member.user)}-{key}/"
    return client, client.get(link).headers["Location"]


def _signed_in(me: Membership) -> Client:
    """Sign in and confirm it as if a moment ago, so that no page asks for it again."""
    client = Client(raise_request_exception=False)
    client.force_login(me.user)
    session = client.session
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time(), "reauthenticated": True}
    ]
    session["account_authentication_methods_user"] = str(me.user.pk)
    session.save()
    return client
