"""Asking a clinic's archives what they have of a patient."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.interop.dicom_times import dicom_date
from diagnosis.models import Destination, PriorFetch, Study
from diagnosis.services.prior_matching import (
    FORBIDDEN,
    PersonKnown,
    PersonSaid,
    differences,
    name_words,
)
from diagnosis.services.prior_sources import (
    archive_open,
    has_radiographs,
    person_known,
    sources_of,
)
from diagnosis.transport.archives import MAX_STUDIES, FoundStudy
from diagnosis.transport.errors import TransportError

_DATES_UNKNOWN: Final = date.min


@dataclass(frozen=True, slots=True)
class PriorFound:
    """One earlier study in an archive.

    Attributes:
        found: as the archive describes it.
        family_name, given_name, born: whose it is, as the archive says.
        differences: what of that differs from our record, as codes of ``prior_matching``.
        here: our study with these images, when there is one.
        fetch: the newest promise to fetch it.
        is_complete: nothing is left to fetch; it is read here, or all images are here.
    """

    found: FoundStudy
    examined_on: date | None
    family_name: str
    given_name: str
    born: date | None
    differences: tuple[str, ...]
    here: Study | None
    fetch: PriorFetch | None
    is_complete: bool

    @property
    def is_other_person(self) -> bool:
        """Whether it must not be fetched, whatever somebody confirms."""
        return not FORBIDDEN.isdisjoint(self.differences)


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What one archive says: earlier radiographs, how many other studies, or what went wrong."""

    source: Destination
    priors: tuple[PriorFound, ...] = ()
    others: int = 0
    is_cut: bool = False
    code: str = ""


def priors_look_up(*, actor: User, study: Study) -> list[SourceAnswer]:
    """Ask each archive of the clinic for earlier studies of the study's patient, newest first.

    An archive that does not answer is told with its code; the others' answers stay.
    """
    require(user=actor, action=Action.PRIOR_FETCH, clinic_id=study.clinic_id)
    answers = [_ask(source, study) for source in sources_of(study.clinic_id)]
    for answer in answers:
        audit_record(
            actor=actor,
            action="prior.look_up",
            clinic_id=study.clinic_id,
            target=study,
            patient_id=study.patient_id,
            source=str(answer.source.pk),
            count=len(answer.priors),
            code=answer.code,
        )
    return answers


def _ask(source: Destination, study: Study) -> SourceAnswer:
    known = person_known(study.patient, source)
    studies: dict[str, FoundStudy] = {}
    is_cut = False
    try:
        with archive_open(source) as archive:
            for number in sorted(known.numbers):
                found = archive.studies(patient_id=number)
                is_cut = is_cut or len(found) >= MAX_STUDIES
                # A number with a wildcard finds more than was asked for.
                studies |= {each.uid: each for each in found if each.patient_id in known.numbers}
    except TransportError as error:
        return SourceAnswer(source, code=error.code)
    studies.pop(study.study_instance_uid, None)
    earlier = [each for each in studies.values() if _is_earlier(each, study)]
    radiographs = [each for each in earlier if has_radiographs(each)]
    priors = [_prior(each, known, study) for each in radiographs]
    priors.sort(key=lambda prior: prior.examined_on or _DATES_UNKNOWN, reverse=True)
    return SourceAnswer(source, tuple(priors), len(earlier) - len(radiographs), is_cut)


def _is_earlier(found: FoundStudy, study: Study) -> bool:
    day = dicom_date(found.date)
    return day is None or day <= study.examined_on


def _prior(found: FoundStudy, known: PersonKnown, study: Study) -> PriorFound:
    family, given = name_words(found.patient_name)
    of_uid = {"clinic_id": study.clinic_id, "study_instance_uid": found.uid}
    here = Study.objects.filter(**of_uid).defer("search").first()
    return PriorFound(
        found=found,
        examined_on=dicom_date(found.date),
        family_name=family,
        given_name=given,
        born=dicom_date(found.birth_date),
        differences=tuple(sorted(differences(known, person_said(found)))),
        here=here,
        fetch=PriorFetch.objects.filter(**of_uid).order_by("-created_at").first(),
        is_complete=here is not None and _is_complete(here, found),
    )


def _is_complete(here: Study, found: FoundStudy) -> bool:
    if here.fetched_from_id is None:
        return True
    return found.instances is not None and here.images.count() >= found.instances


def person_said(found: FoundStudy) -> PersonSaid:
    """Return the person as an archive's description of a study names them."""
    return PersonSaid(
        patient_id=found.patient_id,
        name=found.patient_name,
        birth_date=found.birth_date,
        sex=found.sex,
        issuer=found.issuer,
    )
