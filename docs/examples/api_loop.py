"""The whole loop over HTTP: patient, study, radiographs, AI result, signed report, PDF.

Needs nothing but Python. Against a running `make demo`:

    python3 docs/examples/api_loop.py wrist-1.png wrist-2.png

reads address, token and password from `var/demo.json`.
"""

# ruff: noqa: INP001, S310 - a script of its own; the address is the demo's

import argparse
import json
import mimetypes
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

POLL_SECONDS = 0.25


class ApiError(Exception):
    """The server refused; the code is stable, the detail is a sentence."""


class Api:
    """Sends requests with the token, and JSON or one file as content."""

    def __init__(self, base_url: str, token: str, *, verify: bool = True) -> None:
        self._root = f"{base_url.rstrip('/')}/api/v1/"
        self._token = token
        self._context = ssl.create_default_context()
        if not verify:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[bytes, dict[str, str]]:
        """Return the answer's content and headers."""
        request = urllib.request.Request(self._root + path, data=body, method=method)
        request.add_header("Authorization", f"Token {self._token}")
        if method == "POST":
            # A repetition after a lost answer would have no second effect.
            request.add_header("Idempotency-Key", str(uuid4()))
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        context = self._context if self._root.startswith("https") else None
        try:
            with urllib.request.urlopen(request, timeout=120, context=context) as answer:
                return answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            content = error.read().decode(errors="replace")
            raise ApiError(f"{method} {path}: {error.code} {content}") from None

    def json(self, method: str, path: str, data: Any = None, **headers: str) -> Any:
        """Send and return JSON."""
        body = None if data is None else json.dumps(data).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        content, _ = self.request(method, path, body, {"Content-Type": "application/json", **sent})
        return json.loads(content)

    def upload(self, path: str, file: Path) -> Any:
        """Send one file as multipart/form-data."""
        boundary = uuid4().hex
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        body = b"".join(
            (
                f"--{boundary}\r\n".encode(),
                b'Content-Disposition: form-data; name="file"; filename="image"\r\n',
                f"Content-Type: {kind}\r\n\r\n".encode(),
                file.read_bytes(),
                f"\r\n--{boundary}--\r\n".encode(),
            )
        )
        content, _ = self.request(
            "POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )
        return json.loads(content)


def say(text: str) -> None:
    """Print one line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def wait_for_result(api: Api, study_id: str, *, timeout_s: float) -> Any:
    """Ask until no image waits any more."""
    deadline = time.monotonic() + timeout_s
    while True:
        study = api.json("GET", f"studies/{study_id}/")
        if study["status"] not in {"empty", "queued", "running"}:
            return study
        if time.monotonic() > deadline:
            raise ApiError(f"no result after {timeout_s:.0f} s; the study is {study['status']}")
        time.sleep(POLL_SECONDS)


def print_result(study: Any) -> None:
    """Say what the AI found, image by image."""
    result = study["result"]
    if result is None:
        say(f"status {study['status']}: {[i['analysis']['error_code'] for i in study['images']]}")
        return
    model = result["model"]
    say(f"verdict      {result['verdict']}  probability {result['probability']}")
    say(f"region       {result['region'] or '-'}")
    say(f"thresholds   {result['thresholds']}")
    say(f"model        {model['name']} {model['version']} sha256 {model['sha256'][:12]}…")
    for image in result["images"]:
        say(f"  image {image['id']}  {image['verdict']}  {image['probability']}")
        for finding in image["findings"]:
            box = ", ".join(f"{side:.0f}" for side in finding["box"])
            say(f"    {finding['certainty']:10} {finding['probability']:.3f}  box [{box}]")


def account_of(demo: dict[str, Any], role: str) -> dict[str, Any]:
    """Return the demo's first account with this role."""
    return next(account for account in demo["accounts"] if account["role"] == role)


def main() -> int:
    """Run the loop once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path, help="radiographs: PNG, JPEG, TIFF, DICOM")
    parser.add_argument("--demo", type=Path, default=Path("var/demo.json"))
    parser.add_argument("--pdf", type=Path, default=Path("report.pdf"))
    parser.add_argument("--timeout", type=float, default=300, help="seconds to wait for a result")
    parser.add_argument("--insecure", action="store_true", help="do not check the certificate")
    options = parser.parse_args()

    demo = json.loads(options.demo.read_text())
    doctor = account_of(demo, "doctor")
    api = Api(demo["base_url"], doctor["api_token"], verify=not options.insecure)
    me = api.json("GET", "me/")
    say(f"signed in as {me['user']['email']} of {me['clinic']['name']}")

    number = f"API-{uuid4().hex[:8]}"
    patient = api.json(
        "POST", "patients/", {"record_number": number, "family_name": "Example", "sex": "unknown"}
    )
    study = api.json(
        "POST",
        "studies/",
        {
            "patient": patient["id"],
            "clinical_question": "Fall, pain",
            "priority": "urgent",
        },
    )
    say(f"patient {patient['id']}, study {study['id']}")

    start = time.monotonic()
    for path in options.images:
        image = api.upload(f"studies/{study['id']}/images/", path)
        size = f"{image['width']}x{image['height']}"
        say(f"uploaded {path.name}: image {image['id']}, {size}, warnings {image['warnings']}")
    uploaded = time.monotonic()
    study = wait_for_result(api, study["id"], timeout_s=options.timeout)
    done = time.monotonic()
    print_result(study)
    say(
        f"time from first upload to result: {done - start:.2f} s for {len(options.images)} images "
        f"({done - uploaded:.2f} s after the last upload)"
    )

    report = api.json("POST", "reports/", {"study": study["id"]})
    address = f"reports/{report['id']}/"
    _, headers = api.request("GET", address)
    report = api.json(
        "PATCH",
        address,
        {"impression": report["impression"] or "Reviewed by the API example."},
        If_Match=headers["ETag"],
    )
    signed = api.json("POST", f"{address}sign/", {"password": doctor["password"]})
    say(f"report {report['id']} signed by {signed['signed_by']['name']} at {signed['signed_at']}")
    say(f"verification hash {signed['verification_hash']}")
    pdf, _ = api.request("GET", f"{address}pdf/")
    options.pdf.write_bytes(pdf)
    say(f"saved {options.pdf} ({len(pdf)} bytes)")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ApiError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
