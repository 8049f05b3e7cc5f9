"""What the writer of a report was shown, as one fingerprint.

A draft belongs to a patient, a set of images, a result and what was decided about its
findings. When any of them changes while it is open (a study is moved, an image arrives, an
analysis finishes, a colleague rejects a finding), the signature must not be put under the
old reading.
"""

import hashlib
import json

from diagnosis.models import FindingReview, Study, StudyImage


def report_basis(study: Study) -> str:
    """Return the fingerprint (64 hexadecimal digits) of patient, images, verdicts and decisions."""
    patient = study.patient
    images = StudyImage.objects.filter(study=study).order_by("pk").values_list("pk", flat=True)
    decisions = FindingReview.objects.filter(image__study=study).order_by("uid", "number")
    shown = [
        [patient.pk, patient.record_number, patient.family_name, patient.given_name],
        [patient.birth_date, patient.sex],
        list(images),
        [
            [image["id"], image["verdict"], image["probability"], image["findings"]]
            for image in (study.result or {}).get("images", [])
        ],
        list(decisions.values_list("uid", "number")),
    ]
    return hashlib.sha256(json.dumps(shown, default=str, sort_keys=True).encode()).hexdigest()
