"""The Helm chart, by helm itself; what it makes is checked against the types of Kubernetes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from territory.wire import topics
from territory_admin.records.wait import PIPELINE
from territory_runtime.settings import Settings
from tests.support.servers import program

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "territory"
KUBERNETES = "1.31"
DIGEST = f"sha256:{'0' * 64}"
OF_OTHERS = {"ScaledObject", "ServiceMonitor"}
"""Kinds of KEDA and of the Prometheus operator: no library has their types."""
GIVEN: dict[str, Any] = {
    "image": {"repository": "registry.example/territory", "digest": DIGEST},
    "kafka": {
        "bootstrapServers": "kafka-1:9093,kafka-2:9093",
        "credentialsSecret": "kafka-user",
        "caSecret": "kafka-ca",
    },
    "redis": {"urlSecret": "redis-url"},
}
ALL_ON: dict[str, Any] = {
    **GIVEN,
    "settings": {"BATCH_RECORDS_MAX": "2000"},
    "services": {"assigner": {"replicas": 3, "settings": {"ASSIGNER_ENGINE": "plain", "BATCH_RECORDS_MAX": "1000"}}},
    "autoscaling": {"enabled": True, "maxReplicas": 64, "authenticationRef": "kafka"},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {"metricsFrom": {"name": "monitoring"}},
}


@pytest.fixture
def helm() -> str:
    """Give helm, or do without the test."""
    return program("helm", "helm")


def template(helm: str, folder: Path, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    file = folder / "values.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    command = (
        *(helm, "template", "acme", str(CHART), "--values", str(file), "--namespace", "territory"),
        *("--kube-version", KUBERNETES),
    )
    return subprocess.run(command, capture_output=True, text=True, check=False)


def made(helm: str, folder: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    done = template(helm, folder, values)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


@pytest.mark.parametrize("values", [GIVEN, ALL_ON], ids=["as it is", "all on"])
def test_everything_has_the_form_of_its_kind(helm: str, tmp_path: Path, values: dict[str, Any]) -> None:
    """What Kubernetes knows has no unknown attribute and none of a wrong type."""
    items = made(helm, tmp_path, values)
    for item in items:
        if item["kind"] not in OF_OTHERS:
            kubernetes_validate.validate(item, KUBERNETES, strict=True)
    kinds = [item["kind"] for item in items]
    assert kinds.count("Deployment") == kinds.count("PodDisruptionBudget") == 3
    assert kinds.count("ScaledObject") == (3 if values is ALL_ON else 0)
    assert kinds.count("ServiceMonitor") == (1 if values is ALL_ON else 0)


@pytest.mark.parametrize("values", [GIVEN, ALL_ON], ids=["as it is", "all on"])
def test_settings_are_known_and_no_secret_is_written(helm: str, tmp_path: Path, values: dict[str, Any]) -> None:
    """Every TERRITORY_ name is one; passwords and the address of Redis come from secrets, by reference."""
    for item in made(helm, tmp_path, values):
        if item["kind"] != "Deployment":
            continue
        (container,) = item["spec"]["template"]["spec"]["containers"]
        environment = {each["name"]: each for each in container["env"]}
        assert len(environment) == len(container["env"])
        assert {name.removeprefix("TERRITORY_").lower() for name in environment} <= set(Settings.model_fields)
        for secret in ("TERRITORY_REDIS_URL", "TERRITORY_KAFKA_SASL_PASSWORD"):
            assert set(environment[secret]["valueFrom"]) == {"secretKeyRef"}
        assert container["image"].endswith(f"@{DIGEST}")
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert item["spec"]["template"]["spec"]["enableServiceLinks"] is False  # they would be TERRITORY_ names, too


def test_a_worker_that_waits_is_not_killed(helm: str, tmp_path: Path) -> None:
    """Only /live decides over its life, from the start on; not ready is what waits, and a restart ends no waiting."""
    for item in made(helm, tmp_path, GIVEN):
        if item["kind"] == "Deployment":
            (container,) = item["spec"]["template"]["spec"]["containers"]
            asked = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness")}
            assert asked == {"startup": "/live", "liveness": "/live"}


def test_a_service_own_settings_win(helm: str, tmp_path: Path) -> None:
    """A setting of one service replaces that of all, for it alone."""
    found = {
        item["metadata"]["name"]: {
            each["name"]: each.get("value") for each in item["spec"]["template"]["spec"]["containers"][0]["env"]
        }["TERRITORY_BATCH_RECORDS_MAX"]
        for item in made(helm, tmp_path, ALL_ON)
        if item["kind"] == "Deployment"
    }
    assert found == {"acme-assigner": "1000", "acme-access-indexer": "2000", "acme-forecast-aggregator": "2000"}


def test_workers_are_scaled_by_what_their_stages_read(helm: str, tmp_path: Path) -> None:
    """Each group's lag on its public input, up to as many workers as there are partitions."""
    scaled = [item["spec"] for item in made(helm, tmp_path, ALL_ON) if item["kind"] == "ScaledObject"]
    assert {spec["maxReplicaCount"] for spec in scaled} == {16}
    triggers = {
        (each["metadata"]["consumerGroup"], each["metadata"]["topic"]) for spec in scaled for each in spec["triggers"]
    }
    assert triggers == {(stage.name, stage.topics[0].name) for stage in PIPELINE}
    assert {topic for _, topic in triggers} <= {topic.name for topic in topics.TOPICS}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image": {"repository": "x"}}, "image"),
        ({"redis": {}}, "urlSecret"),
        ({"kafka": {"bootstrapServers": "k:9093", "credentialsSecret": ""}}, "credentialsSecret"),
        ({"settings": {"REDIS_URL": "redis://u:p@r"}}, "REDIS_URL"),
        ({"settings": {"KAFKA_GROUP_INSTANCE_ID": "assigner"}}, "KAFKA_GROUP_INSTANCE_ID"),  # of all replicas alike
        ({"replicas": 3}, "replicas"),
    ],
)
def test_values_that_can_not_be_are_refused(helm: str, tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    """The schema names what is missing, unknown or must be a secret."""
    done = template(helm, tmp_path, GIVEN | wrong)
    assert done.returncode != 0
    assert said in done.stderr


def test_lint_finds_nothing(helm: str, tmp_path: Path) -> None:
    """`helm lint --strict` has no complaint."""
    file = tmp_path / "values.json"
    file.write_text(json.dumps(ALL_ON), encoding="utf-8")
    done = subprocess.run(
        (helm, "lint", "--strict", str(CHART), "--values", str(file)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
