"""Whether the current clinic lets training sets leave, and what may be in them."""

from django.db.models import Prefetch, QuerySet

from accounts.models import User
from diagnosis.models import Analysis, Finding, ReportVersion, StudyImage, TrainingConsent
from diagnosis.models.studies import own_work
from diagnosis.selectors.findings import reviews_of_images


def training_consent(*, user: User) -> TrainingConsent | None:
    """Return the consent in force of the current clinic."""
    consents = TrainingConsent.objects.for_user(user).filter(withdrawn_at__isnull=True)
    return consents.select_related("granted_by").first()


def training_images(*, user: User) -> QuerySet[StudyImage]:
    """Return the clinic's images that may be in a training set, with all that decides it.

    Single frames of studies whose report is signed, with a result of the AI; whether doctors
    decided about every finding is for ``selectors.truth`` to say. None of another house's archive:
    the consent is this clinic's.
    """
    findings = Finding.objects.for_user(user).order_by("-probability", "id")
    analyses = Analysis.objects.for_user(user).order_by("-created_at", "-id")
    signed = ReportVersion.objects.for_user(user).filter(status=ReportVersion.Status.SIGNED)
    return (
        StudyImage.objects.for_user(user)
        .filter(own_work("study"), frame_count=1, study__report__versions__in=signed)
        .filter(analyses__status=Analysis.Status.SUCCEEDED)
        .select_related("study")
        .defer("study__search")
        .prefetch_related(
            Prefetch("analyses", analyses.prefetch_related(Prefetch("findings", findings))),
            reviews_of_images(user),
        )
        .distinct()
        .order_by("pk")
    )
