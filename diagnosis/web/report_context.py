"""What the report beside the image shows: text, forms, history, helpers for writing."""

import json
from typing import Any
from uuid import uuid4

from accounts.reauthentication import has_authenticator
from diagnosis.models import ReportVersion, Study
from diagnosis.selectors.drafting import draft_copies, macro_texts, second_reading_open
from diagnosis.selectors.pages import report_versions
from diagnosis.services.report_basis import report_basis
from diagnosis.services.report_templates import normal_texts
from diagnosis.services.report_texts import SECTIONS
from diagnosis.web.doors import MemberRequest
from diagnosis.web.forms import ReportForm, SignForm


def report_context(request: MemberRequest, study: Study) -> dict[str, Any]:
    """Return the report's newest version, its history, and the forms that fit its state."""
    report = getattr(study, "report", None)
    if report is None:
        return {"report": None, "findings_open": True}
    user = request.user
    versions = list(report_versions(user=user, report=report))
    newest = versions[0]
    draft = newest if newest.status == ReportVersion.Status.DRAFT else None
    signed = next((v for v in versions if v.status == ReportVersion.Status.SIGNED), None)
    context: dict[str, Any] = {
        "report": report,
        "versions": versions,
        "newest": newest,
        "draft": draft,
        "signed": signed,
        "withdrawal": getattr(signed, "withdrawal", None),
        "findings_open": draft is not None,
        "sign_form": SignForm(has_authenticator=has_authenticator(user)),
    }
    if draft is None:
        return context
    awaiting = second_reading_open(user=user, report=report)
    initial = {name: getattr(draft, name) for name in ("revision", *SECTIONS)}
    return context | {
        "awaiting": awaiting,
        "may_second": awaiting is not None and awaiting.first_reader_id != user.pk,
        "findings_open": awaiting is None,
        "report_form": ReportForm(initial=initial | {"basis": report_basis(study)}),
        "copies": draft_copies(user=user, report=report),
        "macros": json.dumps(macro_texts(user=user)),
        "normal": json.dumps(normal_texts(study)),
        "tab": uuid4(),
        "second_reader": request.membership.clinic.second_reader,
    }
