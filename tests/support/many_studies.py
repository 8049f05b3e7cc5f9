"""A hundred thousand studies in a few statements, spread as a busy clinic's are."""

from django.db import connection

from accounts.models import Clinic, User
from accounts.tenancy import clinic_scope

# Of 100 studies: 60 signed, 36 to read, 2 being analysed, 1 failed, 1 with a draft.
_PATIENTS = """
    INSERT INTO diagnosis_patient (id, clinic_id, created_at, updated_at, record_number,
        given_name, family_name, sex)
    SELECT gen_random_uuid(), %(clinic)s, now(), now(), 'MANY-' || n, 'Given', 'Family' || n,
        'unknown'
    FROM generate_series(1, %(count)s / 3 + 1) n
"""
_STUDIES = """
    INSERT INTO diagnosis_study (id, clinic_id, created_at, updated_at, patient_id,
        clinical_question, body_part, side, priority, accession_number, study_instance_uid,
        created_by_id, status, verdict, probability, region, severity, urgency, result_version,
        new_image_after_report)
    SELECT gen_random_uuid(), %(clinic)s, now() - n * interval '3 minutes',
        now() - n * interval '3 minutes', p.id, 'Fall', 'wrist',
        (ARRAY['left', 'right', ''])[n %% 3 + 1], n %% 3, '', '', %(user)s, s.status,
        CASE WHEN s.status IN ('queued', 'failed') THEN ''
             ELSE (ARRAY['negative', 'suspicion', 'definite', 'negative'])[n %% 4 + 1] END,
        CASE WHEN s.status IN ('queued', 'failed') THEN NULL ELSE (n %% 100) / 100.0 END,
        (ARRAY['hand_arm', 'leg', 'hip', 'shoulder'])[n %% 4 + 1], '',
        CASE WHEN s.status = 'reported' THEN 0 ELSE (n %% 109)::float END, '1', false
    FROM generate_series(1, %(count)s) n
    JOIN LATERAL (SELECT CASE WHEN n %% 100 < 60 THEN 'reported' WHEN n %% 100 < 97 THEN 'ready'
        WHEN n %% 100 < 99 THEN 'queued' ELSE 'failed' END AS status) s ON true
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS i FROM diagnosis_patient
          WHERE clinic_id = %(clinic)s) p ON p.i = n / 3 + 1
"""
_IMAGES = """
    INSERT INTO diagnosis_studyimage (id, clinic_id, created_at, study_id, position, sha256,
        size_bytes, format, original_key, served_key, served_sha256, served_content_type,
        rendition_keys, thumbnail_key, width, height, bits, frame_count, modality, view_position,
        laterality, body_part_examined, sop_instance_uid, series_instance_uid, warnings)
    SELECT gen_random_uuid(), clinic_id, created_at, id, 0,
        encode(sha256(id::text::bytea), 'hex'), 1000, 'png', 'o/' || id, 's/' || id, '',
        'image/png', ARRAY['r/' || id], 't/' || id, 400, 500, 8, 1, 'DX', 'PA', 'L', '', '', '',
        '{}'
    FROM diagnosis_study WHERE clinic_id = %(clinic)s
"""
_REPORTS = """
    INSERT INTO diagnosis_report (id, clinic_id, created_at, study_id)
    SELECT gen_random_uuid(), clinic_id, created_at, id FROM diagnosis_study
    WHERE clinic_id = %(clinic)s AND (status = 'reported' OR status = 'ready' AND urgency = 3)
"""
_VERSIONS = """
    INSERT INTO diagnosis_reportversion (id, clinic_id, created_at, updated_at, report_id, number,
        status, revision, basis, reason, technique, comparison, findings, impression,
        recommendation, author_id, signed_by_id, signer_name, signed_at, content_sha256, pdf_key,
        pdf_sha256)
    SELECT gen_random_uuid(), r.clinic_id, r.created_at, r.created_at, r.id, 1,
        CASE WHEN s.status = 'reported' THEN 'signed' ELSE 'draft' END, 1, '', '', '', '',
        'No displaced fracture.', 'No fracture.', '', %(user)s,
        CASE WHEN s.status = 'reported' THEN %(user)s::uuid END, '',
        CASE WHEN s.status = 'reported' THEN r.created_at END,
        CASE WHEN s.status = 'reported' THEN encode(sha256(r.id::text::bytea), 'hex') ELSE '' END,
        CASE WHEN s.status = 'reported' THEN 'reports/' || r.id ELSE '' END, ''
    FROM diagnosis_report r JOIN diagnosis_study s ON s.id = r.study_id
    WHERE r.clinic_id = %(clinic)s
"""


def many_studies(*, clinic: Clinic, user: User, count: int) -> None:
    """Fill an empty clinic; commits unless a transaction is open."""
    values = {"clinic": clinic.pk, "user": user.pk, "count": count}
    with clinic_scope(clinic.pk), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '600s'")
        for statement in (_PATIENTS, _STUDIES, _IMAGES, _REPORTS, _VERSIONS):
            cursor.execute(statement, values)
