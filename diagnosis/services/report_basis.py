"""What the writer of a report was shown, as one fingerprint.

A draft belongs to a patient, a set of images and a result. When any of them
changes while it is open (a study is moved, an image arrives, an analysis
finishes), the signature must not be put under the old reading.
"""

import hashlib
import json

from diagnosis.models import Study, StudyImage


def report_basis(study: Study) -> str:
    """Return the fingerprint (64 hexadecimal digits) of patient, images and verdicts."""
    patient = study.patient
    images = StudyImage.objects.filter(study=study).order_by("pk").values_list("pk", flat=True)
    shown = [
        [patient.pk, patient.record_number, patient.family_name, patient.given_name],
        [patient.birth_date, patient.sex],
        list(images),
        [
            [image["id"], image["verdict"], image["probability"], image["findings"]]
            for image in (study.result or {}).get("images", [])
        ],
    ]
    return hashlib.sha256(json.dumps(shown, default=str, sort_keys=True).encode()).hexdigest()
