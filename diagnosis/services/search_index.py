"""Keeps the search columns of patients and their studies in line with what they show."""

from diagnosis.models import Patient, Study
from diagnosis.models.search import search_vector, search_words


def patient_reindex(patient: Patient) -> None:
    """Rewrite the words of a patient and of all its studies; call it in the same transaction."""
    words = _patient_words(patient)
    Patient.objects.filter(pk=patient.pk).update(search=search_vector(words))
    # Locked, so that a correction of a study at the same time is neither lost nor overwritten.
    studies = list(
        patient.studies.select_for_update(no_key=True)
        .only("id", "accession_number", "clinical_question")
        .order_by("pk")
    )
    for study in studies:
        study.search = search_vector(words + _study_words(study))
    Study.objects.bulk_update(studies, ["search"], batch_size=200)


def study_reindex(study: Study) -> None:
    """Rewrite the words of one study, whose row is locked; its patient is read anew."""
    patient = Patient.objects.defer("search").get(pk=study.patient_id)
    words = _patient_words(patient) + _study_words(study)
    Study.objects.filter(pk=study.pk).update(search=search_vector(words))


def merged_descendants(patient: Patient) -> list[Patient]:
    """Return everybody who was merged into ``patient``, directly or through others."""
    found: list[Patient] = []
    level = [patient.pk]
    while level:
        merged = list(Patient.objects.filter(merged_into__in=level).defer("search"))
        found += merged
        level = [row.pk for row in merged]
    return found


def _patient_words(patient: Patient) -> list[str]:
    """Return the words of a patient, and those of the records that were merged into it."""
    words: list[str] = []
    for row in (patient, *merged_descendants(patient)):
        words += search_words(row.family_name, row.given_name, row.record_number)
        if row.birth_date:
            words.append(row.birth_date.strftime("%Y%m%d"))
    return words


def _study_words(study: Study) -> list[str]:
    return search_words(study.accession_number, study.clinical_question)
