"""The API's description: complete, committed, and shown under the strict content policy."""

import json
import re
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command

from tests.diagnosis.api.conftest import API
from tests.diagnosis.api.routes import ROUTES
from tests.support.database import ROOT

COMMITTED = ROOT / "docs" / "openapi.yaml"
DOCS = f"{API}docs/"


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("schema") / "openapi.yaml"
    call_command("spectacular", file=str(path), validate=True, fail_on_warn=True)
    return path


def test_committed_description_is_what_the_api_does(generated):
    assert generated.read_text() == COMMITTED.read_text(), "run `make openapi`"


def operations():
    document = yaml.safe_load(COMMITTED.read_text())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield pytest.param(operation, id=f"{method} {path}")


def test_every_route_is_described_and_nothing_else():
    document = yaml.safe_load(COMMITTED.read_text())
    described = {
        (method, path) for path, methods in document["paths"].items() for method in methods
    }
    zero = "00000000-0000-0000-0000-000000000000"
    assert described == {(route.method, route.url(zero).replace(zero, "{id}")) for route in ROUTES}
    assert document["openapi"].startswith("3.1")


@pytest.mark.parametrize("operation", list(operations()))
def test_operation_is_explained_with_examples_and_errors(operation):
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    assert {"apiToken": []} in operation["security"]
    assert {"401", "403"} <= set(operation["responses"])
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            if media_type != "application/json":
                continue
            assert content["examples"], status
            if status >= "400":
                assert content["schema"] == {"$ref": "#/components/schemas/Error"}
                assert response["description"]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        is_file = content["schema"].get("format") == "binary"
        assert content.get("examples") or media_type == "multipart/form-data" or is_file


def test_every_post_takes_an_idempotency_key():
    document = yaml.safe_load(COMMITTED.read_text())
    for path, methods in document["paths"].items():
        if "post" in methods and not path.endswith("/file/"):  # giving a file out changes nothing
            names = [parameter["name"] for parameter in methods["post"]["parameters"]]
            assert "Idempotency-Key" in names, path


@pytest.mark.django_db
def test_description_is_served_to_everybody(client):
    response = client.get(f"{API}schema/", headers={"Accept": "application/json"})
    assert response.status_code == 200
    assert json.loads(response.content)["info"]["title"] == "Fracture Site API"


@pytest.mark.django_db
def test_page_has_nothing_inline(client):
    response = client.get(DOCS)
    assert response.status_code == 200
    html = response.content.decode()
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    script = client.get(f"{DOCS}?script=")
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert f"{API}schema/" in script.content.decode()


@pytest.mark.e2e
def test_page_works_in_a_browser(live_server, chromium):
    page = chromium.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{live_server.url}{DOCS}")
    page.wait_for_selector(".opblock-summary-path")
    assert page.locator(".opblock").count() == len(ROUTES)
    page.locator("#operations-reports-reports_sign_create button").first.click()
    page.wait_for_selector("#operations-reports-reports_sign_create .response-col_status")
    page.close()
    assert complaints == []
