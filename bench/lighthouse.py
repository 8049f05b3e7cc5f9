# ruff: noqa: INP001 - a script
"""Lighthouse on the pages people use most, as a phone, signed in, at a demo that is running.

    make demo DATA=var/demo PORT=8000          (in another terminal)
    make lighthouse DATA=var/demo PORT=8000    needs Node 20 and Chromium

One line a page with its scores and what cost points; status 1 when a score is below its goal.
The demo's computer is measured as well: close what else runs on it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.browser import chromium_path

LIGHTHOUSE = "lighthouse@12.2.3"
GOALS = {"performance": 90, "accessibility": 100, "best-practices": 95}
WAIT_S = 30


def signed_in(base: str, accounts: list[dict[str, str]], role: str) -> requests.Session:
    """Return a session of the first demo account with this role."""
    account = next(each for each in accounts if role in each["role"].lower())
    session = requests.Session()
    page = session.get(f"{base}/accounts/login/", timeout=WAIT_S)
    done = session.post(
        page.url,
        {"login": account["email"], "password": account["password"], **_token(page.text)},
        timeout=WAIT_S,
    )
    if "/accounts/login/" in done.url:
        sys.exit(f"{account['email']} could not sign in at {base}; is it the demo of this folder?")
    return session


def _token(html: str) -> dict[str, str]:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', html)
    return {"csrfmiddlewaretoken": found[1]} if found else {}


def upload_page(base: str, session: requests.Session) -> str:
    """Register a patient with a study that waits for its first image."""
    new = f"{base}/patients/new/"
    patient = {
        "record_number": f"LH-{uuid4().hex[:8]}",
        "family_name": "Lighthouse",
        "sex": "unknown",
    }
    page = session.post(
        new, patient | _token(session.get(new, timeout=WAIT_S).text), timeout=WAIT_S
    )
    found = re.search(r"/patients/([0-9a-f-]{36})/", page.url)
    if not found:
        sys.exit("The demo did not register a patient; look at /patients/new/.")
    new = f"{base}/studies/new/?patient={found[1]}"
    form = session.get(new, timeout=WAIT_S).text
    study = {"clinical_question": "Lighthouse", "priority": "2", **_token(form)}
    return session.post(new, study, timeout=WAIT_S).url


def measured(url: str, session: requests.Session) -> dict[str, Any]:
    """Run Lighthouse with its phone preset and return its report."""
    cookies = "; ".join(f"{each.name}={each.value}" for each in session.cookies)
    with tempfile.TemporaryDirectory(prefix="lighthouse-") as folder:
        headers, report = Path(folder) / "headers.json", Path(folder) / "report.json"
        headers.write_text(json.dumps({"Cookie": cookies}), encoding="utf-8")
        subprocess.run(  # noqa: S603 - a list, and our own address
            ["npx", "--yes", LIGHTHOUSE, url, "--quiet", "--output=json",  # noqa: S607
             f"--output-path={report}", f"--extra-headers={headers}",
             f"--only-categories={','.join(GOALS)}",
             "--chrome-flags=--headless=new --no-sandbox --disable-dev-shm-usage"],
            env={**os.environ, "CHROME_PATH": chromium_path() or ""}, check=True,
        )  # fmt: skip
        result: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return result


def told(name: str, report: dict[str, Any]) -> bool:
    """Print the scores and what cost points; return whether every goal is reached."""
    categories, audits = report["categories"], report["audits"]
    scores = {key: round(100 * (categories[key]["score"] or 0)) for key in GOALS}
    lost = []
    for ref in (ref for key in GOALS for ref in categories[key]["auditRefs"] if ref["weight"]):
        audit = audits[ref["id"]]
        if audit["score"] is not None and audit["score"] < 0.9:
            lost.append(f"{ref['id']} ({audit.get('displayValue') or audit['title']})")
    sys.stdout.write(json.dumps({"page": name, **scores, "lost": lost}) + "\n")
    return all(scores[key] >= goal for key, goal in GOALS.items())


def main() -> int:
    """Measure worklist, study and upload pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("var/demo"), help="the demo's folder")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    accounts_file = options.data.with_suffix(".json")
    if not accounts_file.exists():
        sys.exit(f"{accounts_file} is missing: start `make demo DATA={options.data}` first.")
    accounts = json.loads(accounts_file.read_text(encoding="utf-8"))["accounts"]
    base = f"http://127.0.0.1:{options.port}"
    doctor, technician = (signed_in(base, accounts, role) for role in ("doctor", "technician"))
    worklist = doctor.get(base, timeout=WAIT_S).text
    study = re.search(r"/studies/[0-9a-f-]{36}/", worklist)
    if not study:
        sys.exit("The demo's worklist is empty.")
    reached = [
        told("worklist", measured(f"{base}/", doctor)),
        told("study", measured(base + study[0], doctor)),
        told("upload", measured(upload_page(base, technician), technician)),
    ]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
