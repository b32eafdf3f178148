"""What runs the services in containers names settings, commands and folders as they are."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from territory_runtime.settings import Settings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SERVICES = {"assigner", "access-indexer", "forecast-aggregator"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Give deploy/compose.yaml, its anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def test_dockerfile_is_what_the_linter_wants() -> None:
    """Hadolint finds nothing in it."""
    done = subprocess.run(
        (Path(sys.executable).parent / "hadolint", DEPLOY / "Dockerfile"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_compose_file_has_the_form_of_one() -> None:
    """It follows the schema of the Compose specification."""
    done = subprocess.run(
        (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_image_gets_every_folder_that_is_installed() -> None:
    """What is copied holds every package, and nothing that is ignored is copied."""
    written = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", written, re.MULTILINE) for word in line.split()}
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {package.split("/")[0] for package in packages} | {"pyproject.toml", "uv.lock", "README.md"} == copied
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


def test_image_runs_as_nobody_in_particular() -> None:
    """The last user that it names is a number, and not root's: Kubernetes asks for that (runAsNonRoot)."""
    user = re.findall(r"^USER (\d+):(\d+)$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)[-1]
    assert all(int(number) >= 10_000 for number in user)


def test_services_of_compose_are_commands_of_the_image(compose: dict[str, Any]) -> None:
    """Each runs by the name that it is installed under; none may write but in memory."""
    ours = {name: service for name, service in compose["services"].items() if service.get("image") == "territory"}
    assert set(ours) == SERVICES | {"territory"}
    for name, service in ours.items():
        word = service.get("entrypoint", service["command"])[0]
        assert word == name
        assert word in PROJECT["project"]["scripts"]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_settings_of_compose_are_known(compose: dict[str, Any]) -> None:
    """An unknown TERRITORY_ name would end a service's start."""
    named = {
        name
        for service in compose["services"].values()
        for name in service.get("environment", {})
        if name.startswith("TERRITORY_")
    }
    assert named
    assert {name.removeprefix("TERRITORY_").lower() for name in named} <= set(Settings.model_fields)


def test_files_that_compose_mounts_are_there(compose: dict[str, Any]) -> None:
    """A mount of nothing becomes an empty folder, which tells nobody."""
    mounted = [
        volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", ())
    ]
    for source in mounted:
        assert source in compose["volumes"] or (DEPLOY / source).exists(), source


def test_passwords_of_compose_are_asked_for(compose: dict[str, Any]) -> None:
    """None has a value in the file, and every one is in the example of what to fill in."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    assert set(re.findall(r"\$\{(\w+)", text)) == asked
    example = (DEPLOY / "compose.env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == asked
