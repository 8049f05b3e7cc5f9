"""Whether there is room for more work: machines wait with what they hold, people are never refused.

An image that nobody can analyse for long is safer where it is: programs and archives keep it and
send it again. What a person uploads on a page is taken and shown as queued; so is what is urgent.
"""

from django.conf import settings
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from diagnosis.models import Job, JobOverview, Priority, Study
from fracture_site.common.errors import UnavailableError


def require_room(study: Study) -> None:
    """Refuse routine work of machines while the oldest waits too long.

    Raises:
        UnavailableError: ``queue_full``.
    """
    limit = settings.INTAKE_MAX_QUEUE_AGE
    if not limit or study.priority != Priority.ROUTINE:
        return
    late = JobOverview.objects.filter(
        kind="analysis", status=Job.Status.QUEUED, due_at__lt=Now() - limit
    )
    if late.exists():
        raise UnavailableError(
            "queue_full",
            _("More images wait for their analysis than this site can read. Send it again later."),
        )
