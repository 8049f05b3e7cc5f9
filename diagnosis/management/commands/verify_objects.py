"""Read stored originals, served copies and report PDFs again and compare their sha256."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from diagnosis.services.integrity import objects_count, objects_stored, objects_verify, share_of
from diagnosis.storage import StorageError
from fracture_site.common.commands import ProgressCommand


class Command(ProgressCommand):
    """Exit code 1: something is damaged (see the audit trail); 2: the store does not answer."""

    help = "Compare stored objects with their sha256: today's share, or all"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--all", action="store_true", help="All objects, not today's share")

    def handle(self, *_args: Any, **options: Any) -> None:
        share = None if options["all"] else share_of(timezone.now().date())
        total = objects_count(share=share)
        if self.dry_run:
            self.stdout.write(f"{total} objects would be read")
            return
        stored = self.track(objects_stored(share=share), total=total, unit="object")
        try:
            read, damaged = objects_verify(stored)
        except StorageError as error:
            raise CommandError(f"Not all objects were read: {error}", returncode=2) from error
        self.stdout.write(f"{read} objects read, {damaged} damaged")
        if damaged:
            raise CommandError(
                "Damaged objects are in the audit trail (object.damaged) and in the log. "
                "Bring them back from the backup."
            )
