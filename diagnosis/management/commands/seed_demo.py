"""Fill an empty installation with two clinics, people and studies to try it with."""

import json
import secrets
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import ApiToken, Clinic, Membership, Role, User
from accounts.services import member_grant, token_create
from accounts.tenancy import clinic_scope
from diagnosis.models import Patient, Priority
from diagnosis.services.hl7_senders import hl7_sender_create
from diagnosis.services.patients import patient_create
from diagnosis.services.studies import study_create
from diagnosis.services.uploads import image_upload
from diagnosis.services.worklist_settings import clinic_rules_update
from fracture_site.common.commands import ProgressCommand
from fracture_site.common.errors import ConflictError, DomainError

CLINICS = {"Harbour Clinic (demo)": "harbour", "Hillside Clinic (demo)": "hillside"}
ROLES = (Role.TECHNICIAN, Role.DOCTOR, Role.CLINIC_ADMIN)
SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom"}
STUDIES_PER_CLINIC = 6
IMAGES_OF_STUDY = (1, 2, 1, 1, 2, 1)
QUESTIONS = (
    "Fall on the outstretched hand",
    "Twisted ankle",
    "Pain after a fall",
    "Blow to the forearm",
    "Follow-up",
    "Pain when walking",
)


class Command(ProgressCommand):
    """Safe to run again: what is there stays, passwords and tokens in the output file too."""

    help = "Create demo clinics, accounts, patients and studies; write the accounts to a file"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add where to write, and where images come from."""
        super().add_arguments(parser)
        parser.add_argument("--base-url", required=True)
        parser.add_argument("--output", type=Path, required=True)
        parser.add_argument("--images", type=Path, help="Folder of radiographs; default: synthetic")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Create what is missing."""
        if options["images"] and not options["images"].is_dir():
            raise CommandError(f"{options['images']} is not a folder. Set IMAGES to one.")
        call_command("model_sync")
        known = _read(options["output"])
        accounts = [self._site_admin(known)]
        for name in CLINICS:
            admin = User.objects.get(email=accounts[0]["email"])
            accounts += self._staff(name, admin, known)
            _hl7_sender(name, admin)
        text = json.dumps({"base_url": options["base_url"], "accounts": accounts}, indent=2)
        options["output"].touch(mode=0o600)
        options["output"].write_text(text + "\n", encoding="utf-8")
        self._studies(options["images"])
        call_command("seed_reading")  # from the second start on, when images are analysed

    def _site_admin(self, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
        email = "site-admin@demo.example"
        user, password = _person(email, "Site administrator (demo)", known)
        User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
        return _account("site_admin", None, email, password, None)

    def _staff(
        self, name: str, admin: User, known: dict[str, dict[str, Any]]
    ) -> list[dict[str, Any]]:
        clinic, _created = Clinic.objects.get_or_create(name=name)
        rows = []
        for role in ROLES:
            email = f"{role.replace('_', '-')}@{CLINICS[name]}.example"
            user, password = _person(email, f"{role.label} ({CLINICS[name]})", known)
            membership = Membership.objects.filter(user=user, clinic=clinic).first()
            if membership is None:
                membership = member_grant(actor=admin, user=user, clinic_id=clinic.pk, roles=[role])
            token = known.get(email, {}).get("api_token") or _token(membership)
            rows.append(_account(role, name, email, password, token))
        rows.append(self._second_doctor(name, admin, known))
        return rows

    def _second_doctor(
        self, name: str, admin: User, known: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """Add a colleague who can read second."""
        email = f"second-doctor@{CLINICS[name]}.example"
        user, password = _person(email, f"Second doctor ({CLINICS[name]})", known)
        clinic = Clinic.objects.get(name=name)
        membership = Membership.objects.filter(user=user, clinic=clinic).first()
        if membership is None:
            membership = member_grant(
                actor=admin, user=user, clinic_id=clinic.pk, roles=[Role.DOCTOR]
            )
        token = known.get(email, {}).get("api_token") or _token(membership)
        return _account("second_doctor", name, email, password, token)

    def _studies(self, folder: Path | None) -> None:
        empty = [name for name in CLINICS if not _has_patients(name)]
        if not empty:
            return
        per_clinic = sum(IMAGES_OF_STUDY)
        with tempfile.TemporaryDirectory(prefix="fracture-demo-") as temporary:
            files = _files(folder or _draw(Path(temporary), per_clinic * len(empty)))
            chosen = _spread(files, per_clinic * len(empty))
            total = STUDIES_PER_CLINIC * len(empty)
            steps = self._fill(empty, iter(chosen))
            for _step in self.track(steps, total=total, unit="study"):
                pass

    def _fill(self, names: list[str], files: Iterator[Path]) -> Iterator[None]:
        for name in names:
            clinic = Clinic.objects.get(name=name)
            actor = Membership.objects.get(clinic=clinic, roles=[Role.TECHNICIAN]).user
            _alert_people(clinic)
            for number, images in enumerate(IMAGES_OF_STUDY):
                with clinic_scope(clinic.pk):
                    self._study(clinic, actor, number, [p for p, _ in zip(files, range(images))])  # noqa: B905
                yield

    def _study(self, clinic: Clinic, actor: User, number: int, files: list[Path]) -> None:
        patient = patient_create(
            actor=actor,
            clinic_id=clinic.pk,
            record_number=f"DEMO-{number + 1:03d}",
            family_name="Demo",
            given_name=f"Patient {chr(ord('A') + number)}",
            birth_date=date(1950 + 11 * number, 1 + number, 3 + number),
            sex=(Patient.Sex.FEMALE, Patient.Sex.MALE)[number % 2],
        )
        study = study_create(
            actor=actor,
            clinic_id=clinic.pk,
            patient=patient,
            clinical_question=QUESTIONS[number % len(QUESTIONS)],
            priority=Priority.URGENT if number == 1 else Priority.ROUTINE,
        )
        for path in files:
            try:
                image_upload(actor=actor, study=study, data=path.read_bytes())
            except DomainError as error:
                self.stderr.write(f"{path.name}: left out ({error.code})")


def _hl7_sender(name: str, admin: User) -> None:
    """Let programs on this machine play the clinic's RIS: MSH-3 DEMO_RIS, MSH-4 its short name."""
    member = Membership.objects.get(clinic__name=name, roles=[Role.TECHNICIAN])
    with suppress(ConflictError):  # it is there
        hl7_sender_create(
            actor=admin,
            membership=member,
            name="Demo RIS",
            sending_application="DEMO_RIS",
            sending_facility=CLINICS[name],
            networks=["127.0.0.0/8"],
        )


def _alert_people(clinic: Clinic) -> None:
    """Let the demo's doctor be told of critical results, and its administrator next."""
    doctor, admin = (
        # The first of two doctors: the other is the second reader.
        Membership.objects.filter(clinic=clinic, roles=[role]).earliest("created_at", "id").user
        for role in (Role.DOCTOR, Role.CLINIC_ADMIN)
    )
    with clinic_scope(clinic.pk):
        clinic_rules_update(
            actor=admin,
            clinic_id=clinic.pk,
            critical_enabled=True,
            critical_levels=[
                {"people": [str(person.pk)], "minutes": 15} for person in (doctor, admin)
            ],
        )


def _person(email: str, full_name: str, known: dict[str, dict[str, Any]]) -> tuple[User, str]:
    """Return the person and a password that works."""
    password = known.get(email, {}).get("password") or secrets.token_urlsafe(12)
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email=email, password=password, full_name=full_name)
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    elif email not in known:
        user.set_password(password)
        user.save(update_fields=["password"])
    return user, password


def _token(membership: Membership) -> str:
    with clinic_scope(membership.clinic_id):
        _row, secret = token_create(
            actor=membership.user,
            membership=membership,
            name="Demo",
            scope=ApiToken.Scope.WRITE,
        )
    return secret


def _account(
    role: str, clinic: str | None, email: str, password: str, token: str | None
) -> dict[str, Any]:
    return {
        "role": str(role),
        "clinic": clinic,
        "email": email,
        "password": password,
        "totp_secret": None,
        "api_token": token,
    }


def _has_patients(name: str) -> bool:
    clinic = Clinic.objects.get(name=name)
    with clinic_scope(clinic.pk):
        return Patient.objects.filter(clinic=clinic).exists()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the accounts that an earlier run wrote, by address."""
    if not path.is_file():
        return {}
    accounts = json.loads(path.read_text(encoding="utf-8"))["accounts"]
    return {account["email"]: account for account in accounts if _exists(account["email"])}


def _exists(email: str) -> bool:
    """Return whether the database still has the person; a wiped one gets new secrets."""
    return User.objects.filter(email=email).exists()


def _files(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise CommandError(f"{folder} holds no radiographs ({', '.join(sorted(SUFFIXES))}).")
    return files


def _spread(files: list[Path], count: int) -> list[Path]:
    """Return up to ``count`` files, evenly from the whole folder."""
    if len(files) <= count:
        return files
    return [files[i * len(files) // count] for i in range(count)]


def _draw(folder: Path, count: int) -> Path:
    """Draw synthetic radiographs in a process of their own, as ``ml`` stays out of Django."""
    command = [sys.executable, "-m", "ml.data.synthetic", "--out", str(folder)]
    subprocess.run([*command, "--count", str(count)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    return folder
