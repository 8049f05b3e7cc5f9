"""The findings that a report is about: kept with its signature."""

from typing import Any

from accounts.models import User
from diagnosis.models import Study
from diagnosis.models.finding_reviews import DESCRIPTION
from diagnosis.selectors.findings import SUGGESTED, ReviewedFinding, reviewed_findings_for


def findings_snapshot(*, actor: User, study: Study) -> list[dict[str, Any]]:
    """Return every finding with what was decided about it, as JSON values."""
    return [_entry(found) for found in reviewed_findings_for(study=study, user=actor)]


def _entry(found: ReviewedFinding) -> dict[str, Any]:
    review = found.review
    return {
        "id": str(found.id),
        "uid": str(found.uid),
        "image": str(found.image.pk),
        "source": found.source,
        "state": found.state,
        "revision": found.revision,
        "box": [round(side, 1) for side in found.box],
        "probability": found.probability,
        "certainty": found.certainty,
        **{name: found.described(name) for name in DESCRIPTION},
        "suggested": {name: found.suggested(name) for name in SUGGESTED},
        "reject_reason": review.reject_reason if review else "",
        "reviewer": str(review.author_id) if review else None,
        "reviewed_at": review.created_at.isoformat() if review else None,
    }
