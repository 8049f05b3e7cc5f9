"""A hundred thousand studies in a few statements, spread as a busy clinic's are.

Of 100 studies: 60 signed, 37 to read (a few with a draft), 2 being analysed, 1 failed. Each table
gets copies of one row that a factory made, so that a new column needs no change here.
"""

from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Model

from accounts.models import Clinic, User
from accounts.tenancy import clinic_scope
from diagnosis.models import ModelVersion, StudyImage
from fracture_site.common.database import without_limit
from tests.factories import (
    AnalysisFactory,
    ModelVersionFactory,
    PatientFactory,
    ReportVersionFactory,
    StudyImageFactory,
)

_SERIES = "generate_series(1, %(count)s) n"
_STATUS = """CASE WHEN n %% 100 < 60 THEN 'reported' WHEN n %% 100 < 97 THEN 'ready'
    WHEN n %% 100 < 99 THEN 'queued' ELSE 'failed' END"""
_WITHOUT_RESULT = "n %% 100 >= 97"
_PATIENT = "md5(%(clinic)s::text || (n / 3 + 1))::uuid"
_REPORT = "md5('report' || s.id)::uuid"
_SIGNED = "s.status = 'reported'"
_BORN = "(DATE '1930-01-01' + (n * 37 %% 33000)::int)"
_GIVEN = """(ARRAY['Ada', 'Ben', 'Cora', 'Dan', 'Eva', 'Finn', 'Gina', 'Hugo', 'Ida', 'Jan', 'Kira',
    'Leo', 'Mia', 'Nils', 'Ona', 'Paul', 'Rosa', 'Sam', 'Tea', 'Udo'])[n %% 20 + 1]"""
_PERSON_WORDS = f"""ARRAY['family' || n, lower({_GIVEN}), 'many', n::text, 'many' || n,
    to_char({_BORN}, 'YYYYMMDD')]"""
_WORDS_OF_STUDY = f"""array_to_tsvector((SELECT {_PERSON_WORDS} FROM (SELECT n / 3 + 1 AS n) p)
    || ARRAY['acc', 's' || n, 'accs' || n, 'fall', 'outstretched', 'hand'])"""  # noqa: S608
_ARRIVAL = "now() - n * %(gap)s * interval '1 minute'"
_UID = "'1.2.826.0.1.' || ('x' || left(md5({}), 15))::bit(60)::bigint"
_RESULT = """jsonb_build_object('verdict', s.verdict, 'probability', s.probability,
    'region', s.region, 'mixed_models', false, 'model', jsonb_build_object('name', 'detector',
    'version', CASE WHEN s.priority = 0 THEN '1' ELSE '2' END))"""
_REVIEWED = """jsonb_build_array(jsonb_build_object('state', CASE WHEN s.probability >= 0.55
    OR s.verdict = 'definite' AND s.priority > 0 THEN 'accepted' ELSE 'rejected' END))"""
_OF_STUDY = "(SELECT {} FROM diagnosis_study s WHERE s.id = i.study_id)"
_ARRIVED = _OF_STUDY.format("s.created_at")


def many_studies(*, clinic: Clinic, user: User, count: int, gap_minutes: float = 3.0) -> None:
    """Fill a clinic, a study each ``gap_minutes`` until now; commits unless a transaction is open.

    Three studies of each patient; people and studies can be searched for.
    """
    version = ReportVersionFactory(
        author=user, report__study__patient=PatientFactory(clinic=clinic)
    )
    report, study = version.report, version.report.study
    image = StudyImageFactory(study=study, view_position="PA", laterality="L")
    values = {"clinic": clinic.pk, "user": user.pk, "count": count, "gap": gap_minutes}
    own = f"diagnosis_study s WHERE s.clinic_id = %(clinic)s AND s.id <> '{study.pk}'"
    with clinic_scope(clinic.pk), connection.cursor() as cursor, without_limit(cursor):
        cursor.execute("SET LOCAL statement_timeout = '600s'")

        def copy(template: Model, source: str, **columns: str) -> None:
            cursor.execute(_copies(template, source, columns), values)

        copy(
            study.patient,
            "generate_series(1, %(count)s / 3 + 1) n",
            id="md5(%(clinic)s::text || n)::uuid",
            record_number="'MANY-' || n",
            family_name="'Family' || n",
            given_name=_GIVEN,
            birth_date=_BORN,
            search=f"array_to_tsvector({_PERSON_WORDS})",
        )
        copy(
            study,
            _SERIES,
            id="gen_random_uuid()",
            created_at=_ARRIVAL,
            updated_at=_ARRIVAL,
            accession_number="'ACC-S' || n",
            study_instance_uid=_UID.format("%(clinic)s::text || n"),
            study_date=f"CASE WHEN n %% 5 > 0 THEN ({_ARRIVAL})::date END",
            study_time=f"CASE WHEN n %% 5 > 0 THEN ({_ARRIVAL})::time END",
            search=_WORDS_OF_STUDY,
            patient_id=_PATIENT,
            side="(ARRAY['left', 'right', ''])[n %% 3 + 1]",
            priority="n %% 3",
            created_by_id="%(user)s",
            status=_STATUS,
            verdict=f"""CASE WHEN {_WITHOUT_RESULT} THEN ''
                ELSE (ARRAY['negative', 'suspicion', 'definite', 'negative'])[n %% 4 + 1] END""",
            probability=f"CASE WHEN {_WITHOUT_RESULT} THEN NULL ELSE (n %% 100) / 100.0 END",
            region="(ARRAY['hand_arm', 'leg', 'hip', 'shoulder'])[n %% 4 + 1]",
            urgency="CASE WHEN n %% 100 < 60 THEN 0 ELSE (n %% 109)::float END",
        )
        copy(
            image,
            own,
            id="gen_random_uuid()",
            study_id="s.id",
            sha256="encode(sha256(s.id::text::bytea), 'hex')",
            created_at="s.created_at",
            modality="'DX'",
            sop_instance_uid=_UID.format("'image' || s.id"),
            series_instance_uid=_UID.format("'series' || s.id"),
        )
        # No joins: the planner knows nothing of the new clinic yet.
        reported = f"{own} AND ({_SIGNED} OR s.status = 'ready' AND s.urgency = 3)"
        copy(report, reported, id=_REPORT, study_id="s.id")
        copy(
            version,
            reported,
            id="gen_random_uuid()",
            report_id=_REPORT,
            status=f"CASE WHEN {_SIGNED} THEN 'signed' ELSE 'draft' END",
            signed_by_id=f"CASE WHEN {_SIGNED} THEN %(user)s::uuid END",
            signed_at=f"CASE WHEN {_SIGNED} THEN s.created_at END",
            content_sha256=f"CASE WHEN {_SIGNED} THEN md5(s.id::text) ELSE '' END",
            pdf_key=f"CASE WHEN {_SIGNED} THEN 'reports/' || s.id ELSE '' END",
            result=_RESULT,
            reviewed_findings=_REVIEWED,
        )


def many_analyses(*, clinic: Clinic, version: ModelVersion | None = None) -> None:
    """Give each image of ``many_studies`` a result, and one of a hundred a failure."""
    image = StudyImageFactory(study__patient=PatientFactory(clinic=clinic))
    version = version or ModelVersionFactory()
    template = AnalysisFactory(image=image, succeeded=True, model_version=version)
    failed = AnalysisFactory(image=image, failed=True)
    source = f"diagnosis_studyimage i WHERE i.clinic_id = '{clinic.pk}' AND i.id <> '{image.pk}'"
    own = {"id": "gen_random_uuid()", "image_id": "i.id", "created_at": _ARRIVED}
    with clinic_scope(clinic.pk), connection.cursor() as cursor, without_limit(cursor):
        cursor.execute("SET LOCAL statement_timeout = '600s'")
        ended = f"{_ARRIVED} + interval '2 seconds'"
        said = {
            "finished_at": ended,
            "verdict": _OF_STUDY.format("coalesce(nullif(s.verdict, ''), 'negative')"),
            "probability": _OF_STUDY.format("coalesce(s.probability, 0.1)"),
            "region": _OF_STUDY.format("s.region"),
        }
        cursor.execute(_copies(template, source, own | said), {})
        rare = f"{source} AND get_byte(decode(left(i.sha256, 2), 'hex'), 0) < 3"
        cursor.execute(_copies(failed, rare, own), {})


def many_queued(*, clinic: Clinic, count: int) -> None:
    """Give a clinic so many images of one study that wait for their analysis."""
    image = StudyImageFactory(study__patient=PatientFactory(clinic=clinic))
    analysis = AnalysisFactory(image=image)
    with clinic_scope(clinic.pk), connection.cursor() as cursor, without_limit(cursor):
        cursor.execute("SET LOCAL statement_timeout = '600s'")
        values = {"clinic": clinic.pk, "count": count - 1}
        cursor.execute(
            _copies(
                image,
                _SERIES,
                {"id": "md5(%(clinic)s::text || n)::uuid", "sha256": "md5(n::text)"},
            ),
            values,
        )
        own = {"id": "gen_random_uuid()", "image_id": "md5(%(clinic)s::text || n)::uuid"}
        cursor.execute(
            _copies(analysis, _SERIES, own | {"due_at": "now() - n * interval '1 ms'"}), values
        )


def many_imported(*, image: StudyImage, count: int) -> list[UUID]:
    """Let an uploaded image arrive again in so many studies of its clinic; its bytes are shared.

    Returns the ids of the images.
    """
    values = {"image": image.pk, "count": count}
    study = "md5('study' || %(image)s::text || n)::uuid"
    copy = "md5('image' || %(image)s::text || n)::uuid"
    with clinic_scope(image.clinic_id), connection.cursor() as cursor, without_limit(cursor):
        cursor.execute("SET LOCAL statement_timeout = '600s'")
        own = {"id": study, "status": "'queued'", "result": "'{}'", "verdict": "''"}
        own |= {"probability": "NULL", "accession_number": "''"}
        cursor.execute(_copies(image.study, _SERIES, own), values)
        own = {"id": copy, "study_id": study, "sha256": "md5(%(image)s::text || n)"}
        cursor.execute(_copies(image, _SERIES, own), values)
        waiting = AnalysisFactory.build(image=image, clinic=image.clinic)
        waiting.save()
        own = {"id": "gen_random_uuid()", "image_id": copy}
        cursor.execute(_copies(waiting, _SERIES, own), values)
        cursor.execute(f"SELECT {copy} FROM {_SERIES}", values)  # noqa: S608
        return [row[0] for row in cursor.fetchall()]


def many_events(*, clinic: Clinic, user: User) -> None:
    """Record of each study that it was opened; the events still wait for their seals."""
    with clinic_scope(clinic.pk), connection.cursor() as cursor, without_limit(cursor):
        cursor.execute("SET LOCAL statement_timeout = '600s'")
        cursor.execute(
            """INSERT INTO accounts_auditevent (at, actor_id, clinic_id, action, outcome,
                target_type, target_id, patient_id, details, proof)
            SELECT s.created_at, %s, s.clinic_id, 'study.open', 'success', 'study', s.id,
                s.patient_id, '{}', sha256(s.id::text::bytea)
            FROM diagnosis_study s WHERE s.clinic_id = %s""",
            [user.pk, clinic.pk],
        )


def _copies(template: Model, source: str, columns: dict[str, Any]) -> str:
    """Return the statement that copies a row once for each row of ``source``."""
    table = template._meta.db_table
    fields = [field for field in template._meta.concrete_fields if not field.generated]
    names = [field.column for field in fields]
    chosen = ", ".join(columns.get(name, f"t.{name}") for name in names)
    condition = "AND" if "WHERE" in source else "WHERE"
    return (
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {chosen} "  # noqa: S608
        f"FROM {table} t CROSS JOIN {source} {condition} t.id = '{template.pk}'"
    )
