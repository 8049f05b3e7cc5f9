"""Second opinions by link: made, opened, answered and revoked; every step is on the trail."""

import secrets
from datetime import timedelta
from typing import Final

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import AuditEvent, User
from accounts.policy import Action, require
from accounts.selectors import secret_hash
from diagnosis.models import ShareComment, Study, StudyShare
from fracture_site.common.errors import ConflictError, RefusedInputError

MAX_DAYS: Final = 30
MIN_PASSCODE: Final = 6
MAX_COMMENTS: Final = 20


@transaction.atomic
def share_create(
    *,
    actor: User,
    study: Study,
    days: int,
    images_checked: bool,
    question: str = "",
    passcode: str = "",
    may_comment: bool = True,
    is_identified: bool = False,
) -> tuple[StudyShare, str]:
    """Make a link; return it with its secret, which is shown once and stored as a hash.

    Raises:
        RefusedInputError: ``images_unchecked`` (text in the pixels cannot be taken out here: a
            person must have looked), ``days_invalid``, ``passcode_short`` or ``no_images``.
    """
    require(user=actor, action=Action.STUDY_SHARE, clinic_id=study.clinic_id)
    refused: dict[str, str] = {}
    if not 1 <= days <= MAX_DAYS:
        refused["days"] = _("Choose between 1 and %(n)s days.") % {"n": MAX_DAYS}
    if passcode and len(passcode) < MIN_PASSCODE:
        refused["passcode"] = _("Use at least %(n)s characters.") % {"n": MIN_PASSCODE}
    if not is_identified and not images_checked:
        refused["images_checked"] = _(
            "Look at each image first: a name that is burned into the picture stays readable."
        )
    if refused:
        code = {"days": "days_invalid", "passcode": "passcode_short"}.get(
            next(iter(refused)), "images_unchecked"
        )
        raise RefusedInputError(code, _("The link was not made."), fields=refused)
    # Moving images to and from this study waits, so that the list is of one moment.
    Study.objects.select_for_update(no_key=True).only("pk").get(pk=study.pk)
    image_ids = list(study.images.order_by("position", "created_at", "id").values_list("pk"))
    if not image_ids:
        raise RefusedInputError("no_images", _("This study has no image to show yet."))
    secret = secrets.token_urlsafe(32)
    share = StudyShare.objects.create(
        clinic_id=study.clinic_id,
        study=study,
        created_by=actor,
        token_hash=secret_hash(secret),
        passcode_hash=make_password(passcode) if passcode else "",
        question=question.strip()[:2000],
        image_ids=[pk for (pk,) in image_ids],
        is_identified=is_identified,
        may_comment=may_comment,
        expires_at=timezone.now() + timedelta(days=days),
    )
    _audit(
        actor,
        "share.create",
        share,
        days=days,
        identified=is_identified,
        passcode=bool(passcode),
        comments=may_comment,
    )
    return share, secret


@transaction.atomic
def share_revoke(*, actor: User, share: StudyShare) -> None:
    """Make the link useless at once; again and again is harmless."""
    require(user=actor, action=Action.STUDY_SHARE, clinic_id=share.clinic_id)
    revoked = StudyShare.objects.filter(pk=share.pk, revoked_at__isnull=True).update(
        revoked_at=Now()
    )
    if revoked:
        _audit(actor, "share.revoke", share)


@transaction.atomic
def share_passcode_check(*, share: StudyShare, passcode: str) -> bool:
    """Return whether the passcode is right; ten wrong ones end the link for good.

    The attempt is counted before it is checked, so that many at once are not more than ten.
    """
    counted = StudyShare.objects.filter(
        pk=share.pk, wrong_passcodes__lt=StudyShare.MAX_WRONG_PASSCODES
    ).update(wrong_passcodes=F("wrong_passcodes") + 1)
    if not counted:
        return False
    if check_password(passcode[:200], share.passcode_hash):
        StudyShare.objects.filter(pk=share.pk).update(wrong_passcodes=F("wrong_passcodes") - 1)
        return True
    _audit(None, "share.open", share, outcome=AuditEvent.Outcome.DENIED)
    return False


@transaction.atomic
def share_opened(*, share: StudyShare) -> None:
    """Count and record that somebody with the link looks at the study."""
    StudyShare.objects.filter(pk=share.pk).update(
        opened_count=F("opened_count") + 1, last_opened_at=Now()
    )
    _audit(None, "share.open", share)


@transaction.atomic
def share_comment(*, share: StudyShare, author_name: str, text: str) -> ShareComment:
    """Store a colleague's opinion; it is shown with the study and is no part of the report.

    Raises:
        ConflictError: ``comments_closed`` or ``too_many_comments``.
        RefusedInputError: ``comment_incomplete``.
    """
    if not share.may_comment:
        raise ConflictError("comments_closed", _("This link is for reading only."))
    author_name, text = author_name.strip()[:100], text.strip()[:4000]
    missing = _("This field is required.")
    fields = {
        name: missing for name, value in (("author_name", author_name), ("text", text)) if not value
    }
    if fields:
        raise RefusedInputError("comment_incomplete", missing, fields=fields)
    StudyShare.objects.select_for_update(no_key=True).get(pk=share.pk)
    if share.comments.count() >= MAX_COMMENTS:
        raise ConflictError("too_many_comments", _("This link takes no further comments."))
    comment = ShareComment.objects.create(
        clinic_id=share.clinic_id, share=share, author_name=author_name, text=text
    )
    _audit(None, "share.comment", share)
    return comment


def _audit(
    actor: User | None,
    action: str,
    share: StudyShare,
    *,
    outcome: str = AuditEvent.Outcome.SUCCESS,
    **details: object,
) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=share.clinic_id,
        target=share,
        patient_id=share.study.patient_id,
        outcome=outcome,
        study=str(share.study_id),
        **details,
    )
