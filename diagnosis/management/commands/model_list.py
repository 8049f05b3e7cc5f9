"""List the registered models: what is active, what runs in shadow, what was recalled."""

from typing import Any

from django.core.management.base import BaseCommand

from diagnosis.models import ModelVersion
from diagnosis.selectors import model_version_list


class Command(BaseCommand):
    """One line a version."""

    help = "List the registered models and what each of them covers"

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Print the table."""
        for row in model_version_list():
            state = "recalled" if row.is_recalled else row.stage
            line = f"{state:<10} {row.name:<30} {row.version:<12} {row.sha256[:12]}  {covers(row)}"
            self.stdout.write(line)


def covers(row: ModelVersion) -> str:
    """Return the coverage in one line."""
    words = [", ".join(row.modalities)]
    if row.body_regions:
        words.append(", ".join(row.body_regions))
    if row.age_min is not None or row.age_max is not None:
        oldest = "" if row.age_max is None else row.age_max
        words.append(f"{row.age_min or 0}-{oldest} years")
    return "; ".join(words)
