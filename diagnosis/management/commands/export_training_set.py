"""Write a de-identified training set of one clinic that has agreed to it."""

import getpass
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.core.management.base import CommandError

from accounts.models import Clinic, User
from diagnosis.management.model_command import refusals_as_text
from diagnosis.services.training_sets import training_images_of, training_set_write
from fracture_site.common.commands import ProgressCommand


class Command(ProgressCommand):
    """Asks an administrator of the clinic for their password; the export is audited."""

    help = "Write signed images with the doctors' corrections, de-identified, for ml.train"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--clinic", required=True, help="the clinic's name or id")
        parser.add_argument("--user", required=True, help="e-mail of one of its administrators")
        parser.add_argument("--out", type=Path, required=True, help="a new folder")

    def handle(self, *_args: Any, **options: Any) -> None:
        clinic, actor = _clinic(options["clinic"]), _confirmed(options["user"])
        with refusals_as_text():
            try:
                images, undecided = training_images_of(actor=actor, clinic_id=clinic.pk)
            except PermissionDenied as error:
                raise CommandError("This person is no administrator of the clinic.") from error
            self.stdout.write(f"{len(images)} images decided, {undecided} undecided")
            if self.dry_run:
                return
            written = training_set_write(
                actor=actor,
                clinic_id=clinic.pk,
                images=self.track(images, total=len(images), unit="image"),
                undecided=undecided,
                out=options["out"],
            )
        self.stdout.write(
            f"written: {written.images} images ({written.fractured} with a fracture) of "
            f"{written.patients} patients, {written.boxes} boxes; "
            f"{written.unreadable} images could not be read"
        )
        self.stdout.write("Look at the pictures before they leave: burned-in text stays.")


def _clinic(name: str) -> Clinic:
    try:
        clinic = Clinic.objects.filter(pk=UUID(name)).first()
    except ValueError:
        clinic = Clinic.objects.filter(name=name).first()
    if clinic is None:
        raise CommandError("There is no such clinic.")
    return clinic


def _confirmed(email: str) -> User:
    """Return the person after they gave their password: on the terminal, or as a line of stdin."""
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    user = User.objects.filter(email__iexact=email, is_active=True).first()
    if user is None or not user.check_password(password):
        raise CommandError("The e-mail address or the password is not right.")
    return user
