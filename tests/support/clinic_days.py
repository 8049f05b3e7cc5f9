"""Studies with signed reports as a clinic has them, from a few words each."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from accounts.models import Membership
from accounts.tenancy import clinic_scope
from diagnosis.models import ReportVersion, ReportWithdrawal, Study
from tests.factories import (
    PatientFactory,
    ReportFactory,
    ReportVersionFactory,
    StudyFactory,
)

STATES = {"yes": "accepted", "no": "rejected", "unsure": "proposed"}


@dataclass
class Case:
    """A study, what the AI said, and what the report says (``""``: nobody has signed)."""

    arrived: datetime
    verdict: str = "negative"
    probability: float | None = 0.1
    answer: str = ""
    region: str = "hand_arm"
    model: str = "detector 1"
    priority: int = 2
    minutes: int = 60  # until the first signature
    withdrawn: bool = False
    amended_to: str = ""
    study: Study | None = None


def stored(member: Membership, case: Case, **options: Any) -> Case:
    """Store a case in the member's clinic."""
    patient = options.pop("patient", None) or PatientFactory(clinic=member.clinic)
    study = StudyFactory(
        patient=patient,
        priority=case.priority,
        status="reported" if case.answer else "ready",
        verdict=case.verdict,
        probability=case.probability,
        region=case.region,
        **options,
    )
    with clinic_scope(member.clinic_id):
        Study.objects.filter(pk=study.pk).update(created_at=case.arrived)
    case.study = study
    if case.answer:
        report = ReportFactory(study=study)
        first = signed(member, report, case, case.answer, number=1)
        if case.amended_to:
            first = signed(member, report, case, case.amended_to, number=2)
        if case.withdrawn:
            with clinic_scope(member.clinic_id):
                ReportWithdrawal.objects.create(
                    clinic=member.clinic, version=first, reason="wrong", author=member.user
                )
    return case


def signed(member: Membership, report: Any, case: Case, answer: str, number: int) -> ReportVersion:
    """Store a signed version."""
    name, version = case.model.split()
    return ReportVersionFactory(
        report=report,
        number=number,
        reason="correction" if number > 1 else "",
        author=member.user,
        status="signed",
        signed_by=member.user,
        signed_at=case.arrived + timedelta(minutes=case.minutes * number),
        pdf_key="reports/x.pdf",
        content_sha256="d" * 64,
        reviewed_findings=[{"state": STATES[answer]}],
        result={
            "verdict": case.verdict,
            "probability": case.probability,
            "region": case.region,
            "mixed_models": False,
            "model": {"name": name, "version": version},
        },
    )
