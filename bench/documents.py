# ruff: noqa: E402, INP001 - a script
"""Reports as PDF, results as DICOM SR, rows as FHIR: how many a second, one process.

.venv/bin/python bench/documents.py
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")

import django

django.setup()

from bench.figures import QUICK, figure
from diagnosis.documents.renderer import render_report
from diagnosis.interop.dicom_header import to_bytes
from diagnosis.interop.dicom_sr import structured_report
from diagnosis.models import Order
from tests.diagnosis.documents import samples
from tests.interop.dicom_results import result
from tests.interop.fhir_rows import AT, Rows
from tests.interop.test_fhir_r4 import everything

SECONDS = 2.0 if QUICK else 10.0


def rate(make: Callable[[], int]) -> tuple[float, int]:
    """Return how many a second, and how many were made."""
    make()
    made, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        made += make()
    return made / (time.perf_counter() - started), made


def pdf() -> int:
    """Make the PDF/A of a signed report with a picture."""
    return bool(render_report(samples.document()))


def structured() -> int:
    """Make one DICOM SR of an image with two findings."""
    return bool(to_bytes(structured_report(result())))


def fhir() -> int:
    """Write one of everything; returns how many resources."""
    made = Rows()
    order = Order(
        clinic_id=made.clinic_id, study=made.study, source="hl7:RIS|HOSPITAL", placer_number="1",
        procedure_text="Wrist", told_at=AT, updated_at=AT,
    )  # fmt: skip
    return sum(bool(each.model_dump_json()) for each in everything(made, order, "No fracture."))


def main() -> None:
    """Measure and print."""
    for name, make in (("PDF/A reports", pdf), ("DICOM SR", structured), ("FHIR resources", fhir)):
        found, count = rate(make)
        figure(f"{name} made", found, "1/s", n=count)


if __name__ == "__main__":
    main()
