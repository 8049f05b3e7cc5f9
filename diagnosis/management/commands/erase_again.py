"""Erase again whom a restore by other means than `manage.py restore` has brought back."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from diagnosis.services.erasure_list import erasure_list, erasures_noted
from diagnosis.services.erasure_runs import erasures_replay
from fracture_site.common.commands import ProgressCommand


class Command(ProgressCommand):
    """Safe to run again. Run it before anybody opens the site."""

    help = "Erase the patients of a list of erasures who are there (again)"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("list", nargs="?", type=Path, help="The list; without: ERASURE_LIST")

    def handle(self, *_args: Any, **options: Any) -> None:
        path = options["list"] or erasure_list()
        if path is None or not path.is_file():
            raise CommandError("There is no list of erasures. Name it, or set ERASURE_LIST.")
        try:
            noted = erasures_noted(path)
            if self.dry_run:
                self.stdout.write(f"{len(noted)} patients are on the list")
                return
            count = erasures_replay(self.track(noted, total=len(noted), unit="patient"))
        except OSError as error:
            raise CommandError(f"Not everybody is erased ({error}). Run it again.") from error
        self.stdout.write(f"{count} of {len(noted)} patients were there and are erased again")
