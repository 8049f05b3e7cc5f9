# ruff: noqa: INP001, S603 - a script; it runs tools of this environment with words of its own
"""What tools find in the source, and what ships: one JSON line a figure; exit code 1 when open.

    make security

An accepted finding has its reason beside it: in the source behind ``noqa: S…`` or ``nosec``, or
here when it concerns a whole kind. The list of parts (CycloneDX) goes to ``var/sbom.cdx.json``.
"""

import fnmatch
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
SOURCES = ("accounts", "diagnosis", "fracture_site", "ml")
SBOM = ROOT / "var" / "sbom.cdx.json"
# Rules of bandit that judge nothing here.
BANDIT_LEFT_OUT = {
    "B404": "importing subprocess is no finding; every call of it is judged (B602 to B607)",
    "B105": "takes keys of dictionaries for passwords; ruff's S105 and detect-secrets look closer",
    "B110": "the same as ruff's S110, which knows the exception's type",
}
# Kinds of words that look like secrets and are none: (files, kind, reason).
NO_SECRETS = [
    ("tests/*", "Secret Keyword", "passwords of test databases that live for minutes"),
    ("tests/*", "Basic Auth Credentials", "addresses of servers that a test starts"),
    (".env.example", "Basic Auth Credentials", "the word PASSWORD, to be replaced"),
    ("deploy/roles.sql", "Secret Keyword", "'change-me', to be replaced"),
    ("fracture_site/embedded/layout.py", "Basic Auth Credentials", "OWNER:PASSWORD in a message"),
    ("ml/weights/manifest.json", "Hex High Entropy String", "sha256 of weights"),
    ("ml/data/download.py", "Hex High Entropy String", "sha256 of a public data set"),
    ("diagnosis/api/examples.py", "Hex High Entropy String", "an example sha256"),
    ("docs/openapi.yaml", "Hex High Entropy String", "the same example"),
    ("deploy/kubernetes/*.yaml", "Secret Keyword", "names of secrets, never their values"),
    ("tests/fracture_site/test_settings_deploy.py", "Base64 High Entropy String", "the alphabet"),
]
# Written by tools, or by others and pinned by sha256.
NOT_SEARCHED = ("static/vendor/*", "static/viewer/*", "frontend/package-lock.json", "*.lock",
                "tests/interop/fhir-r4.schema.json", "ml/data/splits/*", "locale/*")  # fmt: skip
# One licence for the whole of a product: these would reach over to ours.
REFUSED_LICENCES = re.compile(r"\bA?GPL-?v?[0-9]|(?<!Lesser )General Public License")
DEPLOYMENT = {
    "DJANGO_SETTINGS_MODULE": "fracture_site.settings.production",
    "SECRET_KEY": secrets.token_urlsafe(64),
    "ALLOWED_HOSTS": "xray.example",
    "BASE_URL": "https://xray.example",
    "BEHIND_TLS_PROXY": "true",
    "TRUSTED_PROXY_COUNT": "1",
}


def main() -> int:
    """Run all of them; return 1 when one has something open."""
    found = [ruff(), bandit(), semgrep(), detect_secrets(), deployment_check(), sbom()]
    for figures in found:
        sys.stdout.write(json.dumps(figures) + "\n")
    return 1 if any(figures["open"] for figures in found) else 0


def ruff() -> dict[str, Any]:
    """Rules S (flake8-bandit) of ruff; every exception in the source must say why."""
    done = run(BIN / "ruff", "check", "--select", "S", "--output-format", "json", *SOURCES)
    places = [f"{Path(f['filename']).relative_to(ROOT)}:{f['location']['row']} {f['code']}"
              for f in json.loads(done.stdout)]  # fmt: skip
    accepted, silent = 0, []
    for path, number, line in lines():
        if re.search(r"noqa:[ A-Z0-9,]*\bS\d", line):
            accepted += 1
            if not re.search(r"noqa: ?[A-Z0-9, ]+[-#] *\w", line):
                silent.append(f"{path}:{number} noqa without a reason")
    return {"tool": "ruff S", "open": len(places + silent), "accepted": accepted,
            "places": places + silent}  # fmt: skip


def bandit() -> dict[str, Any]:
    """Bandit; a ``noqa: S608`` is an answer to B608, too: they are the same rule."""
    done = run(BIN / "bandit", "-q", "-r", *SOURCES, "-f", "json", "-x", "*/migrations/*",
               "-s", ",".join(BANDIT_LEFT_OUT))  # fmt: skip
    results = json.loads(done.stdout)["results"]
    places = []
    for entry in results:
        source = (ROOT / entry["filename"]).read_text().splitlines()
        first, last = min(entry["line_range"]), max(entry["line_range"])
        text = " ".join(source[first - 1 : last])
        if not re.search(rf"noqa:[ A-Z0-9,]*\bS{entry['test_id'][1:]}", text):
            places.append(f"{entry['filename']}:{first} {entry['test_id']}")
    return {"tool": "bandit", "open": len(places), "accepted": len(results) - len(places),
            "left_out": BANDIT_LEFT_OUT, "places": places}  # fmt: skip


def semgrep() -> dict[str, Any]:
    """Rules of our own; the tool is in an environment of its own, and what it skips is open."""
    searched = (*SOURCES, "templates", "static/js", "frontend/src")
    done = run(ROOT / ".venv-semgrep" / "bin" / "semgrep", "scan", "--metrics=off",
               "--disable-version-check", "--config", "bench/semgrep.yaml", "--json", "--quiet",
               *searched)  # fmt: skip
    answer = json.loads(done.stdout)
    places = [f"{found['path']}:{found['start']['line']} {found['check_id'].rpartition('.')[2]}"
              for found in answer["results"]]  # fmt: skip
    places += [str(error.get("message", error))[:200] for error in answer["errors"]]
    return {"tool": "semgrep", "open": len(places), "files": len(answer["paths"]["scanned"]),
            "places": places}  # fmt: skip


def detect_secrets() -> dict[str, Any]:
    """Words that look like secrets in any tracked file."""
    tracked = run("git", "ls-files").stdout.splitlines()
    searched = [name for name in tracked if not matches(name, NOT_SEARCHED)]
    done = run(BIN / "detect-secrets", "scan", "--no-verify", *searched)
    places, accepted = [], 0
    for name, entries in json.loads(done.stdout)["results"].items():
        for entry in entries:
            if any(fnmatch.fnmatch(name, g) and entry["type"] == k for g, k, _why in NO_SECRETS):
                accepted += 1
            else:
                places.append(f"{name}:{entry['line_number']} {entry['type']}")
    return {"tool": "detect-secrets", "open": len(places), "accepted": accepted,
            "files": len(searched), "places": places}  # fmt: skip


def deployment_check() -> dict[str, Any]:
    """Django's and our own checks of the settings of a deployment."""
    inherited = {k: os.environ[k] for k in ("PATH", "HOME") if k in os.environ}
    done = run(sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING",
               env=inherited | DEPLOYMENT)  # fmt: skip
    places = [line for line in done.stderr.splitlines() if line.startswith("?:")]
    silenced = re.search(r"(\d+) silenced", done.stdout + done.stderr)
    count = int(silenced.group(1)) if silenced else 0
    if done.returncode and not places:
        places = [done.stderr[-500:]]
    return {"tool": "check --deploy", "open": len(places) + count, "silenced": count,
            "places": places}  # fmt: skip


def sbom() -> dict[str, Any]:
    """The parts that are installed, with their licences; those that we may not ship are open."""
    SBOM.parent.mkdir(exist_ok=True)
    run(BIN / "cyclonedx-py", "environment", sys.executable, "--of", "JSON", "-o", str(SBOM))
    parts = json.loads(SBOM.read_text())["components"]
    shipped = {name.lower() for name in required()}
    places = [f"{part['name']} {part['version']}: {words}" for part in parts
              if part["name"].lower() in shipped and (words := licence(part))
              and REFUSED_LICENCES.search(words) and " OR " not in words]  # fmt: skip
    return {"tool": "SBOM", "open": len(places), "parts": len(parts), "shipped": len(shipped),
            "file": str(SBOM.relative_to(ROOT)), "places": places}  # fmt: skip


def licence(part: dict[str, Any]) -> str:
    """Return how a part names its licence."""
    found = []
    for entry in part.get("licenses", []):
        named = entry.get("license", {})
        found += [named.get("id"), named.get("name"), entry.get("expression")]
    return "; ".join(word for word in found if word and len(word) < 200)


def required() -> set[str]:
    """Return the names that requirements.txt brings."""
    text = (ROOT / "requirements.txt").read_text()
    return set(re.findall(r"^([A-Za-z0-9._-]+)(?=[\[=<>])", text, re.MULTILINE))


def lines() -> Iterator[tuple[Path, int, str]]:
    """Yield every line of our Python sources."""
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                for number, line in enumerate(path.read_text().splitlines(), start=1):
                    yield path.relative_to(ROOT), number, line


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a file's name fits one of the patterns."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def run(*command: str | Path, env: dict[str, str] | None = None) -> Any:
    """Run a tool in the repository and return what it printed."""
    return subprocess.run(
        [str(word) for word in command], cwd=ROOT, env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
