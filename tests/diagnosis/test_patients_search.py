from datetime import date

import psycopg2
import pytest
from django.db import connection

from accounts.tenancy import clinic_scope
from diagnosis.models.search import search_words
from diagnosis.selectors import patient_list, study_list
from diagnosis.services.patients import patient_create, patient_update
from diagnosis.services.studies import study_create, study_update
from tests.factories import MembershipFactory
from tests.support.database import _owner_parameters

pytestmark = pytest.mark.django_db


@pytest.fixture
def member():
    member = MembershipFactory(doctor=True)
    with clinic_scope(member.clinic_id):
        yield member


@pytest.fixture
def muller(member):
    return patient_create(
        actor=member.user,
        clinic_id=member.clinic_id,
        record_number="MRN-0012/7",
        family_name="Müller-Łukasz",
        given_name="José María",
        birth_date=date(1980, 5, 1),
    )


def found(member, q):
    return list(patient_list(user=member.user, q=q))


@pytest.mark.parametrize(
    "q",
    [
        "mul", "MÜLLER", "muller-l", "mullerluk", "luk", "jose", "josé mar", "mar mul", "  mül  ",
        "mrn-0012", "mrn0012", "0012", "mrn 0012/7", "1980-05-01", "1980-05", "1980", "19800501",
        "mul 1980-05-01", "José Mü", "\uff2d\uff35\uff2c",
    ],
)  # fmt: skip
def test_the_beginnings_of_words_find_the_patient(member, muller, q):
    assert found(member, q) == [muller]


@pytest.mark.parametrize(
    "q", ["uller", "mul smith", "0013", "1981", "05-01", "mrnmul", "-", "&", "mul nobody"]
)
def test_what_is_not_a_beginning_finds_nobody(member, muller, q):
    assert found(member, q) == []


@pytest.mark.parametrize("q", ["", "   ", "\n"])
def test_without_a_word_everybody_is_listed(member, muller, q):
    assert found(member, q) == [muller]


@pytest.mark.parametrize(
    "q",
    [
        "'", "''", "\\", "mul' | 'x", "mul:*", "mul & !x", "!", "<->", "mul <-> luk", "(", ")",
        ":*A", "%", "_",
        "'; DROP TABLE diagnosis_patient; --", "\x00", "mul\x00", "\ud800", "\u200f",
        "\U0001f9b4", "a" * 5000, "a-" * 3000, "' " * 500, "e\u0301" * 300, "\u0651",
    ],
)  # fmt: skip
def test_no_character_has_a_meaning_of_its_own(member, muller, q):
    assert found(member, q) in ([], [muller])


def test_a_name_of_hostile_characters_is_stored_and_found(member):
    name = "O'Brien \\ & | ! : * <b>"
    patient = patient_create(
        actor=member.user, clinic_id=member.clinic_id, record_number="'", family_name=name
    )
    assert found(member, "o'brien") == found(member, "obrien") == found(member, name) == [patient]


@pytest.mark.parametrize(
    ("name", "q"), [("山田太郎", "山田"), ("Nguyễn", "nguye"), ("Strauß", "strauss"),
                    ("Ørsted", "ors"), ("Жуков", "жук"), ("محمد", "محم"), ("क्षितिज", "क्षि")],
)  # fmt: skip
def test_names_of_every_script_are_found(member, name, q):
    patient = patient_create(
        actor=member.user, clinic_id=member.clinic_id, record_number="1", family_name=name
    )
    assert found(member, q) == [patient]


def test_a_correction_is_found_at_once_in_patients_and_studies(member, muller):
    study = study_create(
        actor=member.user,
        clinic_id=member.clinic_id,
        patient=muller,
        accession_number="ACC-77",
        clinical_question="Fell off a ladder",
    )
    patient_update(actor=member.user, patient=muller, family_name="Schmidt")
    assert found(member, "muller") == []
    for q in ("schmidt", "acc-77", "ladder", "schmidt ladder", "mrn-0012"):
        assert list(study_list(user=member.user, q=q)) == [study]
    study_update(actor=member.user, study=study, clinical_question="Bicycle")
    assert list(study_list(user=member.user, q="ladder")) == []
    assert list(study_list(user=member.user, q="schm bic")) == [study]


def test_another_clinics_patient_of_the_same_name_is_not_found(member, muller):
    other = MembershipFactory(doctor=True)
    with clinic_scope(other.clinic_id):
        assert list(patient_list(user=other.user, q="muller")) == []
    with clinic_scope(None), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM diagnosis_patient_matches('''mul'':*'::tsquery)")
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db(transaction=True)
def test_searching_uses_the_index_in_spite_of_row_level_security():
    member = MembershipFactory(doctor=True)
    with clinic_scope(member.clinic_id), connection.cursor() as cursor:
        cursor.execute(  # a small table is read whole, rightly
            "INSERT INTO diagnosis_patient (id, clinic_id, created_at, updated_at, record_number, "
            "family_name, given_name, sex, search) SELECT gen_random_uuid(), %s, now(), now(), "
            "'N' || n, 'F', '', 'unknown', array_to_tsvector(ARRAY['n' || n, md5(n::text)]) "
            "FROM generate_series(1, 5000) n",
            [str(member.clinic_id)],
        )
    vacuum("diagnosis_patient")
    with clinic_scope(member.clinic_id), connection.cursor() as cursor:
        before = scans_of_search_index(cursor)
        assert [patient.record_number for patient in found(member, "n4711")] == ["N4711"]
        assert scans_of_search_index(cursor) == before + 1


def vacuum(table):
    """Only the owner may."""
    owner = psycopg2.connect(**_owner_parameters())
    owner.autocommit = True
    owner.cursor().execute(f"VACUUM ANALYZE {table}")
    owner.close()


def scans_of_search_index(cursor):
    cursor.execute(
        "SELECT sum(pg_stat_get_xact_numscans(indexrelid)) FROM pg_index "
        "JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam "
        "WHERE indrelid = 'diagnosis_patient'::regclass AND amname = 'gin'"
    )
    return cursor.fetchone()[0]


def test_words_are_folded_and_hyphenated_ones_also_joined():
    assert search_words("Müller-Lüd 12/3", "") == ["12", "123", "3", "lud", "muller", "mullerlud"]
