"""Write docs/dicom-conformance.md."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from diagnosis.interop.conformance import conformance_statement
from diagnosis.interop.dicom_capabilities import AE_TITLE
from diagnosis.transport.dicom_limits import MAX_PDU


class Command(BaseCommand):
    """Run it after a change of what DICOM peers are offered."""

    help = "Write docs/dicom-conformance.md from the tables that the code uses"

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Write the file."""
        path = Path(settings.BASE_DIR) / "docs" / "dicom-conformance.md"
        path.write_text(conformance_statement(ae_title=AE_TITLE, max_pdu=MAX_PDU))
        self.stdout.write(str(path))
