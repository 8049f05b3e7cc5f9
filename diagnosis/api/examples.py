"""Values of the examples in the API's description; the patient is invented."""

from typing import Any

PATIENT_ID = "6f1e2c1a-8d3b-4f0e-9a67-0d9a4f3f6a10"
STUDY_ID = "b7d0c0de-51f5-4a2e-8e1c-3a5f1f0c2d11"
IMAGE_ID = "c1a9e7b2-7a44-4c1b-9d55-51f0a9b3e412"
ANALYSIS_ID = "d2b8f6c3-6b35-4d0c-8e66-62e1b8c2f513"
FINDING_ID = "e3c7a5d4-5c26-4e1d-9f77-73d2c7d1a614"
REPORT_ID = "f4d6b4e5-4d17-4f2e-8a88-84c3d6e0b715"
DOCTOR_ID = "0d2f6c52-7b1f-4f6e-8f0a-64c1f7f2a811"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
AT = "2026-11-20T09:30:00.000000Z"

PATIENT_INPUT: dict[str, Any] = {
    "record_number": "MRN-1024",
    "given_name": "Ada",
    "family_name": "Example",
    "birth_date": "1980-05-01",
    "sex": "female",
}
PATIENT: dict[str, Any] = {
    "id": PATIENT_ID,
    **PATIENT_INPUT,
    "merged_into": None,
    "created_at": AT,
    "updated_at": AT,
}

STUDY_INPUT: dict[str, Any] = {
    "clinical_question": "Fall on the outstretched hand, pain over the radius",
    "body_part": "wrist",
    "side": "left",
    "priority": "urgent",
    "accession_number": "",
}
STUDY_CREATE: dict[str, Any] = {"patient": PATIENT_ID, **STUDY_INPUT}
STUDY_SUMMARY: dict[str, Any] = {
    "id": STUDY_ID,
    **STUDY_CREATE,
    "status": "ready",
    "verdict": "definite",
    "probability": 0.94,
    "region": "hand_arm",
    "severity": "",
    "new_image_after_report": False,
    "created_at": AT,
    "updated_at": AT,
}

MODEL_IDENTITY = {"name": "fracture-detector", "version": "1.0.0", "sha256": SHA256}
THRESHOLDS = {"suspicion": 0.22, "definite": 0.71}
FINDING: dict[str, Any] = {
    "id": FINDING_ID,
    "box": [812.0, 1040.5, 130.0, 96.0],
    "probability": 0.94,
    "certainty": "definite",
    "type": "",
    "displacement": "",
    "severity": "",
}
_NOTHING_SAID = {"fracture_type": "", "displacement": "", "severity": ""}
REVIEWED_FINDING: dict[str, Any] = {
    "id": FINDING_ID,
    "uid": "a4b6c8d0-1e2f-4a3b-8c4d-5e6f7a8b9c0d",
    "image": IMAGE_ID,
    "source": "ai",
    "state": "accepted",
    "revision": 1,
    "is_current": True,
    "box": FINDING["box"],
    "probability": 0.94,
    "certainty": "definite",
    "description": {**_NOTHING_SAID, "bone": "radius", "laterality": "left"},
    "suggested": _NOTHING_SAID,
    "ai": FINDING,
    "review": {
        "number": 1,
        "decision": "accepted",
        "box": FINDING["box"],
        **_NOTHING_SAID,
        "bone": "radius",
        "laterality": "left",
        "reject_reason": "",
        "reject_text": "",
        "author": {"id": PATIENT_ID, "name": "Dr. Example"},
        "created_at": AT,
    },
}
FINDING_ADDED = {"image": IMAGE_ID, "box": [640.0, 900.0, 120.0, 80.0], "bone": "ulna"}
TIMINGS = {"decode": 41.0, "forward": 380.5, "total": 512.3}
RESULT: dict[str, Any] = {
    "version": "1",
    "verdict": "definite",
    "probability": 0.94,
    "probability_of": "highest_image",
    "region": "hand_arm",
    "severity": "",
    "thresholds": THRESHOLDS,
    "model": MODEL_IDENTITY,
    "mixed_models": False,
    "incomplete": False,
    "images": [
        {
            "id": IMAGE_ID,
            "status": "succeeded",
            "error_code": "",
            "verdict": "definite",
            "probability": 0.94,
            "region": "hand_arm",
            "severity": "",
            "warnings": [],
            "reasons": [],
            "thresholds": THRESHOLDS,
            "model": MODEL_IDENTITY,
            "heatmap": True,
            "timings_ms": TIMINGS,
            "findings": [FINDING],
        }
    ],
    "findings": [
        {
            "number": 1,
            "probability": 0.94,
            "certainty": "definite",
            "type": "",
            "displacement": "",
            "severity": "",
            "places": [{"image": IMAGE_ID, "finding": FINDING_ID}],
        }
    ],
    "timings_ms": TIMINGS,
    "urgency_reasons": ["verdict_definite", "priority_urgent"],
}

ANALYSIS: dict[str, Any] = {
    "id": ANALYSIS_ID,
    "image": IMAGE_ID,
    "status": "succeeded",
    "priority": "urgent",
    "attempts": 1,
    "error_code": "",
    "created_at": AT,
    "started_at": AT,
    "finished_at": AT,
}
_IMAGE_PATH = f"https://clinic.example/api/v1/images/{IMAGE_ID}"
IMAGE: dict[str, Any] = {
    "id": IMAGE_ID,
    "study": STUDY_ID,
    "position": 0,
    "width": 2048,
    "height": 2495,
    "bits": 12,
    "frame_count": 1,
    "format": "dicom",
    "modality": "DX",
    "view_position": "PA",
    "laterality": "L",
    "body_part_examined": "WRIST",
    "pixel_spacing": {"row": 0.139, "column": 0.139, "origin": "imager"},
    "size_bytes": 7340032,
    "sha256": SHA256,
    "warnings": [],
    "capture": "",
    "created_at": AT,
    "analysis": ANALYSIS,
    "result": {
        "analysis": ANALYSIS_ID,
        "recalled": False,
        "verdict": "definite",
        "probability": 0.94,
        "region": "hand_arm",
        "severity": "",
        "reasons": [],
        "warnings": [],
        "thresholds": THRESHOLDS,
        "model": MODEL_IDENTITY,
        "timings_ms": TIMINGS,
        "findings": [FINDING],
    },
    "links": {
        "file": f"{_IMAGE_PATH}/file/",
        "rendition": f"{_IMAGE_PATH}/rendition/",
        "thumbnail": f"{_IMAGE_PATH}/thumbnail/",
        "heatmap": f"{_IMAGE_PATH}/heatmap/",
        "photo": None,
    },
}
RESUMABLE_UPLOAD: dict[str, Any] = {
    "id": "1a7d2e90-3c55-4b0e-8d21-92f0b7c4e516",
    "study": STUDY_ID,
    "image": None,
    "offset": 1048576,
    "length": 7340032,
    "expires_at": AT,
}
STUDY: dict[str, Any] = {
    **STUDY_SUMMARY,
    "report": REPORT_ID,
    "recalled": False,
    "assigned_to": None,
    "claim": {
        "doctor": DOCTOR_ID,
        "doctor_name": "Dr. Example",
        "claimed_at": AT,
        "seen_at": AT,
    },
    "urgency": {
        "score": 79.0,
        "parts": [
            {"code": "priority_urgent", "points": 20.0},
            {"code": "verdict_definite", "points": 50.0},
            {"code": "probability", "points": 9.0},
        ],
    },
    "warnings": ["views_missing"],
    "images": [IMAGE],
    "result": RESULT,
}

TEXTS: dict[str, Any] = {
    "technique": "Radiograph of wrist, left, 1 image.",
    "comparison": "",
    "findings": "Transverse fracture of the distal radius without displacement.",
    "impression": "Distal radius fracture.",
    "recommendation": "Immobilisation, control in one week.",
}
_SIGNER = {"id": "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c16", "name": "Dr. Grace Sample"}
VERSION: dict[str, Any] = {
    "number": 1,
    "status": "signed",
    "reason": "",
    "author": _SIGNER,
    "signed_by": _SIGNER,
    "second_signed_by": None,
    "signed_at": AT,
    "withdrawn": False,
    "verification_hash": SHA256,
}
REPORT: dict[str, Any] = {
    "id": REPORT_ID,
    "study": STUDY_ID,
    "status": "signed",
    "version": 1,
    "revision": 3,
    "reason": "",
    **TEXTS,
    "author": _SIGNER,
    "signed_by": _SIGNER,
    "second_signed_by": None,
    "signed_at": AT,
    "withdrawn": False,
    "verification_hash": SHA256,
    "created_at": AT,
    "updated_at": AT,
    "recalled": False,
    "versions": [VERSION],
}

MODEL: dict[str, Any] = {
    "id": "1b2c3d4e-5f6a-4b7c-8d8e-9f0a1b2c3d17",
    **MODEL_IDENTITY,
    "preprocessing_version": "1",
    "calibration_id": "platt-1",
    "thresholds": THRESHOLDS,
    "stage": "active",
    "is_active": True,
    "is_recalled": False,
    "modalities": ["CR", "DX", "photo"],
    "body_regions": [],
    "age_min": None,
    "age_max": None,
    "created_at": AT,
}
ME: dict[str, Any] = {
    "user": {
        "id": _SIGNER["id"],
        "email": "doctor@clinic.example",
        "full_name": "Grace Sample",
        "title": "Dr.",
    },
    "clinic": {
        "id": "2c3d4e5f-6a7b-4c8d-8e9f-0a1b2c3d4e18",
        "name": "North Clinic",
        "time_zone": "UTC",
        "intended_use": "research",
    },
    "membership": "3d4e5f6a-7b8c-4d9e-8f0a-1b2c3d4e5f19",
    "roles": ["doctor"],
    "allowed_actions": ["patient.view", "report.sign", "study.view"],
    "token": {"id": ANALYSIS_ID, "name": "Hospital system", "scope": "write"},
}
AUDIT_EVENT: dict[str, Any] = {
    "id": 48213,
    "at": AT,
    "action": "report.sign",
    "outcome": "success",
    "actor": _SIGNER,
    "token": None,
    "target_type": "diagnosis.report",
    "target": REPORT_ID,
    "patient": PATIENT_ID,
    "details": {"version": 1},
}

REPORT_ROW: dict[str, Any] = {
    key: value for key, value in REPORT.items() if key not in {*TEXTS, "recalled", "versions"}
}

DASHBOARD: dict[str, Any] = {
    "period": {"first": "2026-11-01", "last": "2026-11-30"},
    "baseline": {"first": "2026-01-07", "last": "2026-04-06"},
    "step": "day",
    "minimum_cases": 10,
    "studies": 1,
    "tables": [
        {
            "key": "volume",
            "columns": ["from", "stat", "urgent", "routine", "total"],
            "rows": [["2026-11-20", 0, 1, 0, 1]],
        }
    ],
}
