"""The committed dashboards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import yaml
from deploy.grafana.write import BOARDS, FOLDER, write

from tests.support.metrics_page import rows
from tests.support.watched import ROOT, names_in, of_dashboards, recordings


def test_the_json_is_what_the_code_writes(tmp_path: Path) -> None:
    """The committed JSON is the generator's output; if not, run `python -m deploy.grafana.write`."""
    write(tmp_path)
    fresh = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == fresh
    assert len(fresh) == len(BOARDS)


def test_panels_ask_for_what_there_is() -> None:
    """Every metric that a panel reads is on the page of metrics, a recording rule, or redis_exporter's."""
    there = {row.name for row in rows()} | {rule["record"] for rule in recordings()}
    there |= {f"{row.name}{end}" for row in rows() if row.kind == "histogram" for end in ("_bucket", "_count", "_sum")}
    there |= {"redis_memory_used_bytes", "redis_memory_max_bytes"}
    asked = of_dashboards()
    assert asked
    for one in asked:
        assert names_in(one.expression), one
        assert names_in(one.expression) <= there, one


def test_no_two_panels_of_a_board_are_called_the_same() -> None:
    """Panel titles are unique within a dashboard."""
    for board in BOARDS:
        assert set(Counter(panel.title for panel in board.panels).values()) == {1}, board.name


def test_provisioning_is_yaml_that_names_them() -> None:
    """Grafana reads one dashboard provider and one data source, whose address comes from the environment."""
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    provider = yaml.safe_load((folder / "dashboards" / "territory.yml").read_text())["providers"][0]
    assert provider["type"] == "file"
    source = yaml.safe_load((folder / "datasources" / "territory.yml").read_text())["datasources"][0]
    assert (source["type"], source["url"]) == ("prometheus", "${PROMETHEUS_URL}")
