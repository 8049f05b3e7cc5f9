"""From something to compare with to work: a fetched prior that somebody sends here to be read."""

from accounts.audit import audit_record
from accounts.models import User
from diagnosis.models import Study
from diagnosis.services.analyses import analysis_enqueue


def prior_take_up(*, actor: User, study: Study) -> None:
    """Make a fetched study a study of this clinic like any other, with its analyses queued.

    Nothing happens to a study that is one already. The caller holds the study's lock, has checked
    permission, and refreshes the study's result.
    """
    if study.fetched_from_id is None:
        return
    source_id, study.fetched_from = study.fetched_from_id, None
    study.save(update_fields=["fetched_from", "updated_at"])
    for image in study.images.filter(analyses__isnull=True):
        analysis_enqueue(image=image, requested_by=actor, priority=study.priority)
    audit_record(
        actor=actor,
        action="prior.take_up",
        clinic_id=study.clinic_id,
        target=study,
        patient_id=study.patient_id,
        source=str(source_id),
    )
