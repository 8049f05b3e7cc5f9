"""Help for writers: macros, and copies of texts that a conflict would have lost."""

import re
from collections.abc import Mapping
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import DraftCopy, Report, ReportVersion, TextMacro
from diagnosis.services.report_locks import locked_draft, report_audit
from diagnosis.services.report_texts import SECTIONS
from fracture_site.common.errors import RefusedInputError


@transaction.atomic
def macro_save(
    *, actor: User, clinic_id: UUID, name: str, text: str, for_clinic: bool = False
) -> TextMacro:
    """Store a text under a short name; an existing one of that name is replaced.

    Raises:
        RefusedInputError: ``macro_name``, ``macro_text``.
    """
    _require_macro(actor, clinic_id, for_clinic=for_clinic)
    name, text = name.strip().removeprefix(".").lower(), text.strip()
    if not re.fullmatch(r"[\w-]{1,20}", name):
        wrong = _("Up to 20 letters, digits, - and _.")
        raise RefusedInputError("macro_name", wrong, fields={"name": wrong})
    if not text or len(text) > 2000:
        wrong = _("Up to 2000 characters.")
        raise RefusedInputError("macro_text", wrong, fields={"text": wrong})
    owner = None if for_clinic else actor
    macro, _created = TextMacro.objects.update_or_create(
        clinic_id=clinic_id, owner=owner, name=name, defaults={"text": text}
    )
    audit_record(actor=actor, action="macro.save", clinic_id=clinic_id, target=macro)
    return macro


@transaction.atomic
def macro_delete(*, actor: User, macro: TextMacro) -> None:
    """Remove a macro: one's own, or the clinic's by an administrator."""
    _require_macro(actor, macro.clinic_id, for_clinic=macro.owner_id is None)
    audit_record(actor=actor, action="macro.delete", clinic_id=macro.clinic_id, target=macro)
    macro.delete()


@transaction.atomic
def draft_copy_keep(
    *, actor: User, report: Report, tab: UUID, texts: Mapping[str, str]
) -> DraftCopy | None:
    """Keep a text that could not be saved; None when the report has no draft any more."""
    require(user=actor, action=Action.REPORT_WRITE, clinic_id=report.clinic_id)
    draft = report.versions.filter(status=ReportVersion.Status.DRAFT).first()
    if draft is None:
        return None
    copy, _created = DraftCopy.objects.update_or_create(
        clinic_id=report.clinic_id,
        version=draft,
        author=actor,
        tab=tab,
        defaults={"texts": {name: texts[name] for name in SECTIONS if name in texts}},
    )
    return copy


@transaction.atomic
def draft_copy_before_overwrite(*, actor: User, report: Report) -> DraftCopy:
    """Keep what the draft says now, before ``actor`` saves another text over it."""
    require(user=actor, action=Action.REPORT_WRITE, clinic_id=report.clinic_id)
    draft = locked_draft(report, to_edit=True)
    copy = DraftCopy.objects.create(
        clinic_id=report.clinic_id,
        version=draft,
        author=draft.author,
        texts={name: getattr(draft, name) for name in SECTIONS},
    )
    report_audit(actor, "report.overwrite", report, report.study, revision=draft.revision)
    return copy


@transaction.atomic
def draft_copy_drop(*, actor: User, report: Report, copy: DraftCopy) -> None:
    """Remove a kept text that is not needed any more."""
    require(user=actor, action=Action.REPORT_WRITE, clinic_id=report.clinic_id)
    report_audit(actor, "report.copy_drop", report, report.study)
    copy.delete()


def _require_macro(actor: User, clinic_id: UUID, *, for_clinic: bool) -> None:
    action = Action.CLINIC_SETTINGS if for_clinic else Action.REPORT_WRITE
    require(user=actor, action=action, clinic_id=clinic_id)
