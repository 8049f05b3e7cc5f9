"""schemathesis against a running site, as four callers: one JSON line for each.

    make schemathesis EXAMPLES=20 SEED=1

What may never happen fails: a server error, an answer without the right to it, an object that is
still there after it was removed or missing after it was made, an answer that the description does
not allow, an operation that could not be asked. The rest is counted: a number is taken as the text
that it would be, and an empty value in an address as if it were not there.

Who may do most is asked by the tool's coverage phase, too: each bound of each field in turn.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from accounts.models import ApiToken, Role
from tests.diagnosis.api.conftest import world_of
from tests.factories import ApiTokenFactory, ClinicFactory, MembershipFactory
from tests.support.web import RealWeb

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(7200)]
ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / ".venv-schemathesis" / "bin" / "schemathesis"
EXAMPLES = int(os.environ.get("EXAMPLES") or 20)
SEED = os.environ.get("SEED") or "1"
NEVER = (
    "not_a_server_error", "ignored_auth", "use_after_free", "ensure_resource_availability",
    "response_schema_conformance", "content_type_conformance",
)  # fmt: skip
CHECKS = (*NEVER, "negative_data_rejection", "unsupported_method")
NOUNS = {
    "patients": "patient", "studies": "study", "images": "image", "findings": "finding",
    "alerts": "alert", "reports": "report", "discrepancies": "discrepancy", "recalls": "recall",
    "annotations": "annotation", "key-images": "keyimage", "macros": "macro",
    "destinations": "destination", "deliveries": "delivery", "uploads": "upload",
    "erasures": "erasure", "exports": "export",
}  # fmt: skip
CALLERS = {
    "reading token": (list(Role.values), ApiToken.Scope.READ),
    "writing token": (list(Role.values), ApiToken.Scope.WRITE),
    "doctor": ([Role.DOCTOR], ApiToken.Scope.WRITE),
    "clinic admin": ([Role.CLINIC_ADMIN], ApiToken.Scope.WRITE),
}
SETTINGS = """\
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 415, 422, 428, 429]

[phases.coverage]
unexpected-methods = ["DELETE"]

"""
HOOKS = """\
import schemathesis
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
"""


def configuration(world: Any, folder: Path) -> Path:
    """Let the tool ask for objects that exist."""
    lines = [SETTINGS]
    for noun, name in NOUNS.items():
        lines += [
            "[[operations]]",
            f'include-path-regex = "^/api/v1/{noun}/[{{]id[}}]"',
            f'parameters = {{ "path.id" = "{getattr(world, name).pk}" }}',
        ]
    path = folder / "schemathesis.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("caller", CALLERS)
def test_the_api_does_what_its_description_says(caller: str, tmp_path: Path) -> None:
    """Ask as one of four; what may never happen fails."""
    clinic = ClinicFactory()
    roles, scope = CALLERS[caller]
    member = MembershipFactory(clinic=clinic, roles=roles)
    token = ApiTokenFactory(membership=member, scope=scope)
    world = world_of(clinic, member.user)
    report = tmp_path / "events.ndjson"
    (tmp_path / "hooks.py").write_text(HOOKS, encoding="utf-8")
    phases = "examples,coverage,fuzzing" if caller == "writing token" else "examples,fuzzing"
    web = RealWeb(env={"API_THROTTLE_RATE": "1000000/min"}).start()
    began = time.monotonic()
    try:
        done = subprocess.run(
            [
                str(TOOL), "--config-file", str(configuration(world, tmp_path)), "run",
                str(ROOT / "docs" / "openapi.yaml"), "--url", web.address,
                "--header", f"Authorization: Token {token.secret}",
                "--generation-with-security-parameters", "false",
                "--checks", ",".join(CHECKS), "--phases", f"{phases},stateful",
                "--max-examples", str(EXAMPLES), "--seed", SEED, "--continue-on-failure",
                "--suppress-health-check", "all", "--request-timeout", "60", "--no-shrink",
                "--generation-database", "none", "--no-color", "--workers", "2",
                "--report", "ndjson", "--report-ndjson-path", str(report),
            ],
            capture_output=True, text=True, check=False, cwd=tmp_path,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path)},
        )  # fmt: skip
    finally:
        web.stop()
    kept = ROOT / "var" / f"schemathesis-{caller.replace(' ', '-')}.txt"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(done.stdout, encoding="utf-8")
    figures = counted(report)
    line = {"figure": "API against its description", "caller": caller, "examples": EXAMPLES}
    line |= figures | {"seconds": round(time.monotonic() - began)}
    sys.__stdout__.write(json.dumps(line) + "\n")
    sys.__stdout__.flush()
    assert figures["requests"] > figures["operations"] > 0, done.stdout[-3000:] + done.stderr
    wrong = {name: figures[name] for name in (*NEVER, "errors") if figures[name]}
    assert not wrong, f"{wrong}; see {kept}"


def counted(report: Path) -> dict[str, Any]:
    """Return how much was asked, and how often each check failed."""
    failed: Counter[str] = Counter()
    asked, errors, operations = 0, 0, set()
    for line in report.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        errors += "NonFatalError" in event or "FatalError" in event
        recorder = event.get("ScenarioFinished", {}).get("recorder") or {}
        cases, checks = recorder.get("cases") or {}, recorder.get("checks") or {}
        if cases and recorder["label"] != "Stateful tests":
            operations.add(recorder["label"])
        asked += len(recorder.get("interactions") or {})
        for case, results in checks.items():
            value = cases[case]["value"]
            for check in results:
                if check["status"] == "failure":
                    failed[_name(check["name"], value)] += 1
    return {
        "operations": len(operations), "requests": asked, "errors": errors,
        **{name: failed[name] for name in NEVER},
        "other": {name: n for name, n in failed.items() if name not in NEVER},
    }  # fmt: skip


def _name(check: str, case: dict[str, Any]) -> str:
    """Tell a forbidden body that was taken from a forbidden value in an address or header."""
    if check != "negative_data_rejection":
        return check
    body = case["meta"].get("components", {}).get("body", {})
    return "bodies_taken" if body.get("mode") == "negative" else "queries_taken"
