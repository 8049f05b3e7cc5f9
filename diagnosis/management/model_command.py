"""Base of the commands that put models to use: NAME VERSION --reason, and refusals in words."""

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import BaseCommand, CommandError

from diagnosis.models import ModelVersion
from fracture_site.common.errors import DomainError


class ModelCommand(BaseCommand):
    """A command about one registered version."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add name and version."""
        parser.add_argument("name", help="name of the model, as in model_list")
        parser.add_argument("model_version", metavar="version", help="its version")

    def add_reason(self, parser: ArgumentParser) -> None:
        """Add the reason that every change needs."""
        parser.add_argument("--reason", required=True, help="why; it is logged")

    def find(self, name: str, version: str) -> ModelVersion:
        """Return the version.

        Raises:
            CommandError: there is none.
        """
        row = ModelVersion.objects.filter(name=name, version=version).first()
        if row is None:
            raise CommandError(
                f"No model {name} {version} is registered. See: manage.py model_list"
            )
        return row


@contextmanager
def refusals_as_text() -> Iterator[None]:
    """Turn a refusal into the command's error: its code, and what to do."""
    try:
        yield
    except DomainError as error:
        why = f" ({error.extra['why']})" if "why" in error.extra else ""
        raise CommandError(f"{error.code}: {error.detail or 'refused'}{why}") from error
    except OSError as error:
        raise CommandError("storage: the object storage does not answer. Try again.") from error
