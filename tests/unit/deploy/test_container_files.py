"""Container files and the chart name settings, commands and folders that exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from territory_runtime.loop.shutdown import CLOSE_SECONDS_MAX, STOP_SECONDS_MAX
from territory_runtime.settings import Settings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GRACE_SECONDS = 60
"""The same bound as in tests/e2e/test_stops.py."""
SERVICES = {"assigner", "access-indexer", "forecast-aggregator"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Give deploy/compose.yaml with its anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def test_dockerfile_is_what_the_linter_wants() -> None:
    """Hadolint finds nothing in the Dockerfile."""
    done = subprocess.run(
        (Path(sys.executable).parent / "hadolint", DEPLOY / "Dockerfile"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_compose_file_has_the_form_of_one() -> None:
    """compose.yaml follows the schema of the Compose specification."""
    done = subprocess.run(
        (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_image_gets_every_folder_that_is_installed() -> None:
    """The image copies every package that is installed, and nothing that is ignored."""
    written = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", written, re.MULTILINE) for word in line.split()}
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {package.split("/")[0] for package in packages} | {"pyproject.toml", "uv.lock", "README.md"} == copied
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


def test_image_runs_as_nobody_in_particular() -> None:
    """The last user of the Dockerfile is a number other than root's, as Kubernetes needs for runAsNonRoot."""
    user = re.findall(r"^USER (\d+):(\d+)$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)[-1]
    assert all(int(number) >= 10_000 for number in user)


def test_services_of_compose_are_commands_of_the_image(compose: dict[str, Any]) -> None:
    """Each service runs its installed command, and none may write outside memory."""
    ours = {name: service for name, service in compose["services"].items() if service.get("image") == "territory"}
    assert set(ours) == SERVICES | {"territory"}
    for name, service in ours.items():
        word = service.get("entrypoint", service["command"])[0]
        assert word == name
        assert word in PROJECT["project"]["scripts"]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_settings_of_compose_are_known(compose: dict[str, Any]) -> None:
    """compose.yaml sets only known settings: an unknown TERRITORY_ name would end a service's start."""
    named = {
        name
        for service in compose["services"].values()
        for name in service.get("environment", {})
        if name.startswith("TERRITORY_")
    }
    assert named
    assert {name.removeprefix("TERRITORY_").lower() for name in named} <= set(Settings.model_fields)


def test_files_that_compose_mounts_are_there(compose: dict[str, Any]) -> None:
    """Every mounted file exists: Docker would silently mount an empty folder instead."""
    mounted = [
        volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", ())
    ]
    for source in mounted:
        assert source in compose["volumes"] or (DEPLOY / source).exists(), source


def test_passwords_of_compose_are_asked_for(compose: dict[str, Any]) -> None:
    """compose.yaml holds no password, and the example file lists every one that is asked for."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    assert set(re.findall(r"\$\{(\w+)", text)) == asked
    example = (DEPLOY / "compose.env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == asked


def test_prometheus_of_compose_asks_every_service(compose: dict[str, Any]) -> None:
    """Prometheus scrapes every service by its name, under the job that rules and dashboards rely on."""
    listed = yaml.safe_load((DEPLOY / "prometheus" / "targets-of-compose.yml").read_text(encoding="utf-8"))
    targets = {one["labels"]["job"]: one["targets"] for one in listed}
    local = yaml.safe_load((DEPLOY / "prometheus" / "targets" / "territory.yml").read_text(encoding="utf-8"))
    assert targets.keys() == {one["labels"]["job"] for one in local}
    assert targets == {job: [f"{job}:9464"] for job in SERVICES} | {"redis": ["redis-exporter:9121"]}
    assert SERVICES | {"redis-exporter"} <= compose["services"].keys()


def test_files_of_prometheus_and_grafana_are_where_they_look_for_them(compose: dict[str, Any]) -> None:
    """Compose mounts rules, targets and dashboards where Prometheus' and Grafana's own configuration looks for them."""
    mounted = {
        inside: DEPLOY / outside
        for name in ("prometheus", "grafana")
        for outside, inside in (volume.split(":")[:2] for volume in compose["services"][name]["volumes"])
    }
    configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    assert configuration["rule_files"] == ["rules/*.yml"]
    assert list(mounted["/etc/prometheus/rules"].glob("*.yml"))
    assert configuration["scrape_configs"][0]["file_sd_configs"][0]["files"] == ["targets/*.yml"]
    assert mounted["/etc/prometheus/targets/territory.yml"].name == "targets-of-compose.yml"
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/territory.yml").read_text(encoding="utf-8"))
    assert list(mounted[provider["providers"][0]["options"]["path"]].glob("*.json"))
    assert (mounted["/etc/grafana/provisioning"] / "datasources").is_dir()
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/territory.yml").read_text(encoding="utf-8"))
    (name,) = re.findall(r"\$\{(\w+)\}", source["datasources"][0]["url"])
    assert compose["services"]["grafana"]["environment"][name] == "http://prometheus:9090"


def test_images_have_versions(compose: dict[str, Any]) -> None:
    """Every third-party image has a version, and Grafana's is the one that the dashboards are made for."""
    foreign = {name: service["image"] for name, service in compose["services"].items() if "build" not in service}
    assert foreign
    for image in foreign.values():
        assert re.fullmatch(r"[a-z0-9_/-]+:v?\d+\.\d+[\w.-]*", image), image
    (dashboards,) = PROJECT["dependency-groups"]["dashboards"]
    assert foreign["grafana"].partition(":")[2] == dashboards.partition("!")[2]


def test_nothing_listens_but_on_this_machine(compose: dict[str, Any]) -> None:
    """Ports are published on the machine itself only, because there is no TLS."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_services_get_the_time_that_a_stop_takes(compose: dict[str, Any]) -> None:
    """Compose and the chart allow a worker the longest time a stop may take, stage after stage."""
    values = yaml.safe_load((DEPLOY / "helm" / "territory" / "values.yaml").read_text(encoding="utf-8"))
    given = {f"{values['terminationGracePeriodSeconds']}s"}
    given |= {compose["services"][name]["stop_grace_period"] for name in SERVICES}
    assert given == {f"{GRACE_SECONDS}s"}
    stages_max = 2
    assert stages_max * (STOP_SECONDS_MAX + CLOSE_SECONDS_MAX) < GRACE_SECONDS
