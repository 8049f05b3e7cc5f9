"""The files for real installations say what the code does: processes, settings, metrics."""

import json
import re
import shlex
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PROCESSES = dict(
    line.split(": exec ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line
)
# What differs between installations: addresses, counts, paths.
OWN = {"--bind", "--workers", "--schedule", "--worker-tmp-dir", "--concurrency"}


def essence(command: list[str]) -> list[str]:
    """Return a command without what each installation sets for itself."""
    kept, skip = [], False
    for part in command:
        if skip:
            skip = False
        elif part in OWN:
            skip = True
        else:
            kept.append(Path(part).name if part.startswith("/") else part.replace("%%", "%"))
    return kept


def of_procfile(name: str) -> list[str]:
    return essence(shlex.split(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", PROCESSES[name])))


def documents(path: Path) -> list[dict]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_each_process_has_a_unit_with_the_same_command(name):
    unit = (DEPLOY / "systemd" / f"fracture-site-{name}.service").read_text()
    command = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)

    assert command is not None
    assert essence(shlex.split(command[1])) == of_procfile(name)
    for line in ("NoNewPrivileges=true", "ProtectSystem=strict", "User=fracture"):
        assert line in unit


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_compose_runs_the_same_commands_without_rights(name):
    service = documents(DEPLOY / "compose.yaml")[0]["services"][name]
    image = re.search(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert image is not None
    command = service.get("command") or json.loads(image[1])

    assert essence(command) == of_procfile(name)
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "database_owner_url" not in service["secrets"]


def containers() -> list[tuple[str, dict]]:
    return [
        (container["name"], container)
        for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
        for each in documents(path)
        if each["kind"] in {"Deployment", "Job"}
        for container in each["spec"]["template"]["spec"]["containers"]
    ]


def test_every_container_of_the_cluster_is_confined():
    names = [name for name, _ in containers()]
    assert {"web", "worker", "courier", "beat", "dicom", "prepare"} <= set(names)
    for name, container in containers():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"], name
        assert not context["allowPrivilegeEscalation"], name
        assert container["resources"]["limits"]["memory"], name
        owner = any(e["name"].startswith("DATABASE_OWNER") for e in container.get("env", []))
        assert owner == (name == "prepare"), name
        if "command" in container and name != "prepare":
            assert essence(container["command"]) == of_procfile(name)


MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_are_what_a_cluster_accepts(path):
    for each in documents(path):
        if each["kind"] != "Kustomization":
            kubernetes_validate.validate(each, "1.33", strict=True)


def test_the_kustomization_names_every_manifest():
    folder = DEPLOY / "kubernetes"
    named = documents(folder / "kustomization.yaml")[0]["resources"]

    assert sorted(named) == sorted(
        path.name for path in folder.glob("*.yaml") if path.name != "kustomization.yaml"
    )


def test_selectors_find_their_pods():
    found = [each for p in (DEPLOY / "kubernetes").glob("*.yaml") for each in documents(p)]
    pods = [
        each["spec"]["template"]["metadata"]["labels"].items()
        for each in found
        if each["kind"] == "Deployment"
    ]
    selectors = [each["spec"]["selector"] for each in found if each["kind"] == "Service"]
    selectors += [
        each["spec"]["selector"]["matchLabels"]
        for each in found
        if each["kind"] == "PodDisruptionBudget"
    ]
    assert selectors
    for selector in selectors:
        assert any(selector.items() <= pod for pod in pods), selector


def test_settings_that_the_files_name_exist():
    known = "\n".join(p.read_text() for p in (ROOT / "fracture_site/settings").glob("*.py"))
    compose = documents(DEPLOY / "compose.yaml")[0]
    used = set(compose["services"]["web"]["environment"])
    for each in documents(DEPLOY / "kubernetes" / "base.yaml"):
        used |= set(each.get("data", {}))

    assert used
    for name in used:
        assert f'"{name.removesuffix("_FILE")}"' in known, name


def test_keda_scales_as_the_autoscaler_that_it_replaces():
    (scaled,) = documents(DEPLOY / "kubernetes-keda" / "scaled-object.yaml")
    hpa = next(
        each
        for each in documents(DEPLOY / "kubernetes" / "worker.yaml")
        if each["kind"] == "HorizontalPodAutoscaler"
    )
    (trigger,) = scaled["spec"]["triggers"]
    (metric,) = hpa["spec"]["metrics"]

    assert scaled["spec"]["scaleTargetRef"]["name"] == hpa["spec"]["scaleTargetRef"]["name"]
    assert scaled["spec"]["minReplicaCount"] == hpa["spec"]["minReplicas"]
    assert scaled["spec"]["maxReplicaCount"] == hpa["spec"]["maxReplicas"]
    assert trigger["metadata"]["threshold"] == metric["external"]["target"]["value"]
    assert f"{metric['external']['metric']['name']}{{" in trigger["metadata"]["query"]
    deleted = documents(DEPLOY / "kubernetes-keda" / "kustomization.yaml")[0]["patches"]
    assert [patch["target"] for patch in deleted] == [
        {"kind": hpa["kind"], "name": hpa["metadata"]["name"]}
    ]


def test_every_alert_has_its_own_part_of_a_runbook():
    for rule in documents(DEPLOY / "monitoring" / "alerts.yaml")[0]["groups"][0]["rules"]:
        text = (ROOT / "docs" / "runbooks" / "monitoring.md").read_text()
        headings = [line for line in text.splitlines() if line.startswith("## ")]
        assert any(rule["alert"] in heading for heading in headings), rule["alert"]


@pytest.mark.django_db
def test_alerts_and_dashboard_ask_for_metrics_that_exist(client, settings):
    settings.METRICS_TOKEN = "a-token"
    text = client.get("/metrics", HTTP_AUTHORIZATION="Bearer a-token").content.decode()
    told = {family.name for family in text_string_to_metric_families(text)}
    asked = "".join(p.read_text() for p in (DEPLOY / "monitoring").iterdir())
    asked += (DEPLOY / "kubernetes" / "worker.yaml").read_text()
    asked += (DEPLOY / "kubernetes-keda" / "scaled-object.yaml").read_text()
    names = set(re.findall(r"fracture_site_[a-z_]+", asked)) - {"fracture_site_token"}

    assert names <= told
    for rule in documents(DEPLOY / "monitoring" / "alerts.yaml")[0]["groups"][0]["rules"]:
        assert (ROOT / rule["annotations"]["runbook"]).is_file(), rule["alert"]
