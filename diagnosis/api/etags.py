"""ETags of reports: which text a client has read."""

from django.utils.translation import gettext as _
from rest_framework.request import Request

from diagnosis.api.errors import PreconditionRequired
from diagnosis.models import ReportVersion
from fracture_site.common.errors import ConflictError, PreconditionError


def version_etag(version: ReportVersion) -> str:
    """Return a tag that changes with every save, signature and amendment."""
    return f'"{version.number}-{version.revision}-{version.status}"'


def draft_matched(request: Request, version: ReportVersion) -> int | None:
    """Return the revision that ``If-Match`` names, ``None`` without the header.

    Raises:
        ConflictError: ``already_signed``; no tag helps.
        PreconditionError: ``draft_changed``.
    """
    if version.status == ReportVersion.Status.SIGNED:
        raise ConflictError(
            "already_signed", _("This report is signed. Write an amendment to change it.")
        )
    given = request.headers.get("If-Match", "").strip()
    if given in {"", "*"}:
        return None
    tags = {tag.strip().removeprefix("W/") for tag in given.split(",")}
    if version_etag(version) not in tags:
        raise PreconditionError(
            "draft_changed",
            _("Somebody saved this draft in between. Load it again and repeat your change."),
            extra={"revision": version.revision},
        )
    return version.revision


def draft_read(request: Request, version: ReportVersion) -> int:
    """Return the revision that ``If-Match`` names.

    ``*`` is not enough: it would overwrite what the caller has not read.

    Raises:
        PreconditionRequired: the header is missing.
        DomainError: as ``draft_matched``.
    """
    revision = draft_matched(request, version)
    if revision is None:
        raise PreconditionRequired
    return revision


def finding_etag(revision: int) -> str:
    """Return the tag of a finding after ``revision`` decisions."""
    return f'"{revision}"'


def finding_read(request: Request) -> int:
    """Return the revision of a finding that ``If-Match`` names.

    Raises:
        PreconditionRequired: the header is missing, or names no number.
    """
    given = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    if not given.isdecimal() or len(given) > 9:
        raise PreconditionRequired
    return int(given)
