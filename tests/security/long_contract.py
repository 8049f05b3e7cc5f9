"""schemathesis against the running API, in four roles: one JSON line a role.

    make schemathesis EXAMPLES=200

What may never happen is a server error, an answer without the right to it, or an object that is
used after it was removed; those fail. The other checks are reported as they are: what the API takes
beyond its description, and what it refuses although the description would allow it.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import ApiToken, Role
from tests.diagnosis.api.conftest import world_of
from tests.factories import ApiTokenFactory, ClinicFactory, MembershipFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(7200)]
ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / ".venv-schemathesis" / "bin" / "schemathesis"
EXAMPLES = os.environ.get("EXAMPLES", "20")
NEVER = ("not_a_server_error", "ignored_auth", "use_after_free", "object_level_authorization")
CHECKS = (*NEVER, "negative_data_rejection", "response_schema_conformance",
          "content_type_conformance", "unsupported_method")  # fmt: skip
NOUNS = {
    "patients": "patient", "studies": "study", "images": "image", "findings": "finding",
    "alerts": "alert", "reports": "report", "discrepancies": "discrepancy", "recalls": "recall",
    "annotations": "annotation", "key-images": "keyimage", "macros": "macro",
    "destinations": "destination", "deliveries": "delivery", "uploads": "upload",
}  # fmt: skip


def session_headers(user: Any) -> dict[str, str]:
    """Return what a browser of the signed-in person sends."""
    client = Client()
    client.force_login(user)
    client.get("/")
    token = client.cookies["csrftoken"].value
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    return {"Cookie": cookies, "X-CSRFToken": token}


def configuration(world: Any, folder: Path) -> Path:
    """Let the tool ask for objects that exist."""
    lines = []
    for noun, name in NOUNS.items():
        lines += [
            "[[operations]]",
            f'include-path-regex = "^/api/v1/{noun}/[{{]id[}}]"',
            f'parameters = {{ "path.id" = "{getattr(world, name).pk}" }}',
        ]
    path = folder / "schemathesis.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("role", ["reading token", "writing token", "doctor", "clinic admin"])
def test_the_api_does_what_its_description_says(
    role: str, live_server: Any, settings: Any, tmp_path: Path
) -> None:
    """Ask as one of four; what may never happen fails."""
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"DEFAULT_THROTTLE_CLASSES": []}
    clinic = ClinicFactory()
    doctor = MembershipFactory(clinic=clinic, roles=[Role.DOCTOR])
    admin = MembershipFactory(clinic=clinic, roles=[Role.CLINIC_ADMIN])
    everything = MembershipFactory(clinic=clinic, roles=list(Role.values))
    world = world_of(clinic, doctor.user)
    if role.endswith("token"):
        scope = ApiToken.Scope.READ if role.startswith("reading") else ApiToken.Scope.WRITE
        token = ApiTokenFactory(membership=everything, scope=scope)
        headers = {"Authorization": f"Token {token.secret}"}
    else:
        headers = session_headers((doctor if role == "doctor" else admin).user)
    report = tmp_path / "events.ndjson"
    command = [
        str(TOOL), "--config-file", str(configuration(world, tmp_path)), "run",
        str(ROOT / "docs" / "openapi.yaml"), "--url", live_server.url,
        "--checks", ",".join(CHECKS), "--max-examples", EXAMPLES, "--continue-on-failure",
        "--suppress-health-check", "all", "--request-timeout", "60", "--no-shrink", "--no-color",
        "--report", "ndjson", "--report-ndjson-path", str(report), "--workers", "1",
    ]  # fmt: skip
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    found, cases = counted(report)
    sys.__stdout__.write(
        json.dumps({"role": role, "cases": cases, "examples": int(EXAMPLES)} | found) + "\n"
    )
    (ROOT / "var").mkdir(exist_ok=True)
    (ROOT / "var" / f"schemathesis-{role.replace(' ', '-')}.txt").write_text(done.stdout)
    assert cases, done.stdout[-3000:] + done.stderr[-3000:]
    assert not any(found.get(check) for check in NEVER), done.stdout[-6000:]


def counted(report: Path) -> tuple[dict[str, int], int]:
    """Return how often each check failed, and how many requests were made."""
    failed: Counter[str] = Counter(dict.fromkeys(CHECKS, 0))
    cases = 0
    for line in report.read_text(encoding="utf-8").splitlines():
        for name, status in _checks(json.loads(line)):
            cases += name == "not_a_server_error"
            failed[name] += status == "failure"
    return dict(failed), cases


def _checks(node: Any) -> list[tuple[str, str]]:
    if isinstance(node, dict):
        own = [(node["name"], node["status"])] if {"name", "status"} <= node.keys() else []
        return own + [found for value in node.values() for found in _checks(value)]
    if isinstance(node, list):
        return [found for value in node for found in _checks(value)]
    return []
