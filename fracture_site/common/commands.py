"""Base of long management commands: ``--dry-run`` and a progress bar on stderr."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from django.core.management.base import BaseCommand
from tqdm import tqdm

T = TypeVar("T")


class ProgressCommand(BaseCommand):
    """A command with ``--dry-run``, ``--no-progress`` and a bar on stderr.

    The bar goes to stderr so that stdout stays clean for pipes and tests.
    """

    dry_run: bool
    no_progress: bool

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the two switches."""
        parser.add_argument("--dry-run", action="store_true", help="Change nothing")
        parser.add_argument("--no-progress", action="store_true", help="Hide the bar")

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Store the switches before ``handle`` runs."""
        self.dry_run = options["dry_run"]
        self.no_progress = options["no_progress"] or not sys.stderr.isatty()
        return super().execute(*args, **options)

    def track(self, rows: Iterable[T], *, total: int, unit: str) -> Iterator[T]:
        """Yield ``rows`` while showing count, rate, elapsed and remaining time."""
        yield from tqdm(rows, total=total, unit=unit, disable=self.no_progress, file=sys.stderr)
