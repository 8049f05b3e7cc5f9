"""Promising to fetch an earlier study from an archive."""

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis import jobs
from diagnosis.models import Destination, PriorFetch, Study
from diagnosis.services.prior_matching import CONFIRMABLE
from diagnosis.services.violations import violated_constraint
from diagnosis.transport.archives import is_uid
from fracture_site.common.errors import ConflictError, RefusedInputError


@transaction.atomic
def prior_fetch_request(
    *,
    actor: User,
    study: Study,
    source: Destination,
    study_uid: str,
    confirmed: Sequence[str] = (),
) -> PriorFetch:
    """Promise to fetch a study; an open promise for the same one is returned as it is.

    ``confirmed`` are the differences between archive and record that ``actor`` has seen.

    Raises:
        ConflictError: ``source_off``; ``study_is_here``: it is read here, not compared with.
        RefusedInputError: ``uid_invalid``, ``difference_unknown``.
    """
    require(user=actor, action=Action.PRIOR_FETCH, clinic_id=study.clinic_id)
    if not is_uid(study_uid):
        raise RefusedInputError("uid_invalid", _("This is no identifier of a study."))
    if set(confirmed) - CONFIRMABLE:
        raise RefusedInputError("difference_unknown", _("This cannot be confirmed."))
    if source.clinic_id != study.clinic_id or not (source.finds_priors and source.is_enabled):
        raise ConflictError("source_off", _("Earlier studies are not looked up there any more."))
    here = Study.objects.filter(clinic_id=study.clinic_id, study_instance_uid=study_uid)
    if here.filter(fetched_from__isnull=True).exists():
        raise ConflictError("study_is_here", _("This study is here already."))
    fetch = PriorFetch(
        clinic_id=study.clinic_id,
        study=study,
        source=source,
        study_instance_uid=study_uid,
        requested_by=actor,
        confirmed=sorted(set(confirmed)),
        priority=study.priority,
    )
    try:
        with transaction.atomic():
            fetch.save(force_insert=True)
    except IntegrityError as error:
        if violated_constraint(error) != "prior_fetch_one_open":
            raise
        is_open = PriorFetch.objects.filter(
            study_instance_uid=study_uid, status__in=PriorFetch.OPEN
        ).first()
        if is_open is None:  # it ended in this moment
            return prior_fetch_request(
                actor=actor, study=study, source=source, study_uid=study_uid, confirmed=confirmed
            )
        return is_open
    audit_record(
        actor=actor,
        action="prior.request",
        clinic_id=study.clinic_id,
        target=fetch,
        patient_id=study.patient_id,
        source=str(source.pk),
        study=str(study.pk),
        confirmed=fetch.confirmed,
    )
    transaction.on_commit(lambda: jobs.wake_workers(model=PriorFetch), robust=True)
    return fetch
