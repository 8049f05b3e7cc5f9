"""What doctors decided about an image, as far as a signed report makes it binding.

A fracture is there where a doctor accepted, moved or added a finding. There is none when every
finding that the AI proposed was rejected, or there was none. One finding that nobody decided about
leaves the whole image undecided: silence is no label.
"""

from collections.abc import Collection
from uuid import UUID

from accounts.models import User
from diagnosis.models import ReportVersion, StudyImage
from diagnosis.selectors.findings import PROPOSED, ReviewedFinding, findings_of_image


def signed_studies(*, user: User, study_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the studies that have a signed report and no amendment in the making."""
    versions = ReportVersion.objects.for_user(user).filter(report__study__in=study_ids)
    signed = versions.filter(status=ReportVersion.Status.SIGNED)
    drafts = versions.filter(status=ReportVersion.Status.DRAFT)
    return set(signed.values_list("report__study", flat=True)) - set(
        drafts.values_list("report__study", flat=True)
    )


def image_truth(image: StudyImage) -> bool | None:
    """Return whether the image shows a fracture, ``None`` when nobody decided.

    The image belongs to a signed study; its analyses, findings and reviews are prefetched.
    """
    found = findings_of_image(image)
    if image.newest_result is None or any(each.state == PROPOSED for each in found):
        return None
    return any(each.is_confirmed for each in found)


def confirmed_findings(image: StudyImage) -> list[ReviewedFinding]:
    """Return the findings that a doctor vouches for."""
    return [each for each in findings_of_image(image) if each.is_confirmed]
