"""The rules as promtool has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import program
from tests.support.watched import PROMETHEUS

PART = "prometheus"


def promtool(*arguments: str | Path, folder: Path = PROMETHEUS) -> subprocess.CompletedProcess[str]:
    command = (program(PART, "promtool"), *map(str, arguments))
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_configuration_is_valid() -> None:
    """`promtool check config` and `check rules`, which follow every file that is named."""
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted(PROMETHEUS.glob("rules/*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_and_is_silent_where_it_should() -> None:
    """`promtool test rules`."""
    done = promtool("test", "rules", *sorted(PROMETHEUS.glob("tests/*.test.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("tests", "rule", "instead"),
    [
        ("models-and-index", "> 0.85", "> 0.1"),
        ("streams", 'outcome="refused"', 'outcome="taken"'),
        ("workers", "for: 10m", "for: 10h"),
    ],
)
def test_a_rule_that_is_changed_is_found_out(tests: str, rule: str, instead: str, tmp_path: Path) -> None:
    """The tests of the rules can fail."""
    folder = tmp_path / "prometheus"
    shutil.copytree(PROMETHEUS, folder)
    alerts = folder / "rules" / "territory.alerts.yml"
    assert rule in alerts.read_text()
    alerts.write_text(alerts.read_text().replace(rule, instead))
    done = promtool("test", "rules", f"tests/{tests}.test.yml", folder=folder)
    assert done.returncode != 0
