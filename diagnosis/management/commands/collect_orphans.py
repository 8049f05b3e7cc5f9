"""Delete stored objects that no row names; safe to run at any time, again and again."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from diagnosis.services.orphans import SETTLED_AFTER, orphans_delete, orphans_find
from fracture_site.common.commands import ProgressCommand


class Command(ProgressCommand):
    """Uploads that fail after storing leave objects; this removes those older than a day."""

    help = "Delete stored objects that no row names"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--older-than-hours",
            type=int,
            default=SETTLED_AFTER // timedelta(hours=1),
            help="Keep younger ones, whose upload may still be running",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        hours = max(1, options["older_than_hours"])
        orphans = orphans_find(settled_after=timedelta(hours=hours))
        if not self.dry_run:
            orphans_delete(self.track(orphans, total=len(orphans), unit="object"))
        verb = "would be deleted" if self.dry_run else "deleted"
        self.stdout.write(f"{len(orphans)} objects without a row {verb}")
