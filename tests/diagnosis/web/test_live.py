"""The live view's server side: which model, to whom, and nothing but the model."""

import hashlib
import re

import pytest
from django.urls import reverse

from diagnosis.inference import read_package
from diagnosis.models import ModelVersion
from diagnosis.services.model_stages import model_activate, shipped_sync
from diagnosis.services.model_versions import model_register
from ml.predictor import WEIGHTS_FOLDER
from tests.factories import MembershipFactory, PatientFactory, StudyFactory
from tests.support.models import model_folder

pytestmark = pytest.mark.django_db
MODEL = "/live/model/"


@pytest.fixture
def member(client):
    membership = MembershipFactory(technician=True)
    client.force_login(membership.user)
    return membership


def activate(folder):
    version = model_register(package=read_package(folder))
    return model_activate(actor=None, version=version, reason="measured better", replace=True)


def test_the_active_model_is_described_and_its_file_is_the_promised_one(client, member):
    shipped = shipped_sync()
    said = client.get(MODEL).json()
    answer = client.get(said["url"])
    data = b"".join(answer.streaming_content)

    assert said["version"] == shipped.version
    assert said["bytes"] == len(data)
    assert hashlib.sha256(data).hexdigest() == said["sha256"] == shipped.sha256
    assert said["manifest"]["thresholds"] == shipped.manifest["thresholds"]
    assert said["manifest"].keys().isdisjoint({"metrics", "training", "file"})
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer["Content-Type"] == "application/octet-stream"


def test_a_newly_activated_model_takes_the_place_of_the_old_one(client, member, tmp_path):
    old = shipped_sync()
    thresholds = {"suspicion": 0.2, "definite": 0.4}
    new = activate(model_folder(tmp_path / "next", version="9.0.0", thresholds=thresholds))
    said = client.get(MODEL).json()

    assert said["id"] == str(new.pk) != str(old.pk)
    assert said["version"] == "9.0.0"
    assert said["manifest"]["thresholds"] == thresholds


def test_only_the_file_in_use_is_handed_out(client, member):
    url = client.get(MODEL).json().get("url")
    assert url is None  # nothing is active yet

    shipped = shipped_sync()
    gate = shipped.manifest["gate"]["sha256"]  # stored too, and no weights
    for sha256 in (gate, "0" * 64):
        assert client.get(f"/live/model/{sha256}.onnx").status_code == 404
    ModelVersion.objects.update(stage="registered")
    assert client.get(f"/live/model/{shipped.sha256}.onnx").status_code == 404
    assert client.get(MODEL).json() == {"available": False, "code": "no_model"}


def test_a_model_for_named_body_parts_alone_judges_no_unknown_picture(client, member, tmp_path):
    coverage = {"modalities": ["photo"], "body_regions": ["wrist"]}
    activate(model_folder(tmp_path / "wrist", name="wrist", coverage=coverage))

    assert client.get(MODEL).json()["code"] == "no_model"


def test_who_reads_before_the_ai_gets_no_preview(client):
    shipped = shipped_sync()
    doctor = MembershipFactory(doctor=True, read_first=True)
    client.force_login(doctor.user)

    assert client.get(MODEL).json() == {"available": False, "code": "reads_first"}
    assert client.get(f"/live/model/{shipped.sha256}.onnx").status_code == 404


def test_nobody_signed_out_gets_anything(client):
    shipped = shipped_sync()
    for path in ("/live/", MODEL, f"/live/model/{shipped.sha256}.onnx", "/live/worker.js"):
        answer = client.get(path)
        assert answer.status_code == 302, path
        assert reverse("account_login") in answer["Location"]


def test_webassembly_is_allowed_to_the_worker_alone(client, member):
    page = client.get("/live/")["Content-Security-Policy"]
    worker = client.get("/live/worker.js")
    policy = worker["Content-Security-Policy"]

    assert "unsafe" not in page
    rules = {name: set(values) for name, *values in map(str.split, policy.split(";"))}
    assert rules == {
        "default-src": {"'none'"},
        "script-src": {"'self'", "'wasm-unsafe-eval'"},
    }
    assert worker["Content-Type"].startswith("text/javascript")
    assert re.fullmatch(r'import "/static/js/live-worker[.\w]*\.js";\n', worker.content.decode())


def test_a_picture_can_go_to_open_studies_of_the_own_clinic(client, member):
    own = StudyFactory(patient=PatientFactory(clinic=member.clinic, family_name="Ownclinic"))
    StudyFactory(patient=PatientFactory(family_name="Foreignclinic"))
    foreign = StudyFactory()
    page = client.get("/live/").content.decode()

    assert "Ownclinic" in page
    assert "Foreignclinic" not in page
    assert f"/studies/{own.pk}/upload/?patient={own.patient_id}" in page
    assert client.get(f"/live/?study={own.pk}").status_code == 200
    assert client.get(f"/live/?study={foreign.pk}").status_code == 404
    assert client.get("/live/?study=nonsense").status_code == 404


def test_who_may_not_upload_is_offered_no_sending(client):
    administrator = MembershipFactory(clinic_admin=True)
    StudyFactory(patient=PatientFactory(clinic=administrator.clinic, family_name="Ownclinic"))
    client.force_login(administrator.user)
    page = client.get("/live/").content.decode()

    assert "data-live-submit" not in page
    assert "Ownclinic" not in page


def test_the_page_names_the_runtime_that_is_vendored():
    root = WEIGHTS_FOLDER.parents[1] / "static"
    wanted = re.search(r'RUNTIME_VERSION = "([\d.]+)"', (root / "js/first-look.js").read_text())
    bundle = (root / "vendor/onnxruntime/ort.wasm.bundle.min.mjs").read_text(encoding="utf-8")

    assert wanted
    assert f"ONNX Runtime Web v{wanted[1]}" in bundle[:200]


def test_a_picture_is_not_sent_to_what_was_fetched_to_compare_with(client, member):
    patient = PatientFactory(clinic=member.clinic)
    waiting, fetched, done = (
        StudyFactory(patient=patient, status=status) for status in ("ready", "prior", "reported")
    )

    offered = [target["study"] for target in client.get("/live/").context["targets"]]

    assert waiting in offered
    assert fetched not in offered
    assert done not in offered
