"""The whole loop over a real HTTP server with a real worker, run by the documentation's example."""

import json
import subprocess
import sys

import pytest
from django.conf import settings
from pypdf import PdfReader

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Study
from ml.data.synthetic import synthetic_radiograph, to_png
from tests.factories import PASSWORD, ApiTokenFactory, ClinicFactory, MembershipFactory
from tests.support.database import ROOT

# The members that clients rely on; more may come.
RESULT = {"verdict", "probability", "region", "severity", "thresholds", "model", "images"}
IMAGE = {"id", "verdict", "probability", "region", "warnings", "findings"}
FINDING = {"id", "box", "probability", "certainty", "type", "displacement"}


@pytest.mark.skipif(
    not (settings.ML_MODEL_DIR / "manifest.json").exists(), reason="no model in ML_MODEL_DIR"
)
@pytest.mark.django_db(transaction=True)
def test_documented_example_runs_from_upload_to_pdf(live_server, real_worker, tmp_path):
    clinic = ClinicFactory()
    member = MembershipFactory(clinic=clinic, roles=[Role.DOCTOR])
    account = {
        "role": "doctor",
        "clinic": clinic.name,
        "email": member.user.email,
        "password": PASSWORD,
        "totp_secret": None,
        "api_token": ApiTokenFactory(membership=member).secret,
    }
    demo = {"base_url": live_server.url, "accounts": [account]}
    (tmp_path / "demo.json").write_text(json.dumps(demo))
    for seed in (1, 2):
        shot = synthetic_radiograph(seed, region="leg", size=(480, 640))
        (tmp_path / f"{seed}.png").write_bytes(to_png(shot.pixels))
    command = [
        *(sys.executable, "-I", str(ROOT / "docs/examples/api_loop.py"), "1.png", "2.png"),
        *("--demo", "demo.json", "--pdf", "report.pdf", "--timeout", "120"),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr + real_worker.log.read_text()[-3000:]
    for words in ("verdict", "probability", "time from first upload to result", "signed by"):
        assert words in done.stdout

    with clinic_scope(clinic.pk):
        study = Study.objects.get()
        actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert study.status == Study.Status.REPORTED
    assert set(study.result) >= RESULT
    assert len(study.result["images"]) == 2
    for image in study.result["images"]:
        assert set(image) >= IMAGE
        for finding in image["findings"]:
            assert set(finding) >= FINDING
            assert len(finding["box"]) == 4
    assert {"patient.create", "study.create", "image.upload", "report.sign"} <= actions
    text = "".join(page.extract_text() for page in PdfReader(tmp_path / "report.pdf").pages)
    assert "Example" in text
    assert member.user.display_name in text
