"""Form of the rules and alerts; promtool and Prometheus itself evaluate them in other tests."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import yaml

from tests.support.metrics_page import rows
from tests.support.watched import PROMETHEUS, ROOT, RUNBOOK, alerts, anchors, names_in, recordings, rules

OPERATIONS = re.compile(r"(sum|max|min|estimate|rate|deriv|ratio_rate|busy_rate|p\d\d_rate)(\d+[mhd])?")


def tried() -> list[dict[str, Any]]:
    return [
        one
        for path in (PROMETHEUS / "tests").glob("*.test.yml")
        for test in yaml.safe_load(path.read_text())["tests"]
        for one in test.get("alert_rule_test", ())
    ]


def test_every_alert_is_tried_both_ways() -> None:
    """Each alert has a promtool test in which it fires and one in which it is silent."""
    fires = {one["alertname"] for one in tried() if one.get("exp_alerts")}
    is_silent = {one["alertname"] for one in tried() if not one.get("exp_alerts")}
    names = {rule["alert"] for rule in alerts()}
    assert fires == names
    assert is_silent == names


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """Each alert has a severity, a summary, and a link to an existing chapter of the runbook."""
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    assert ROOT / page == RUNBOOK
    assert anchor == rule["alert"].lower()
    assert anchor in anchors(RUNBOOK)


def test_the_runbook_has_a_whole_chapter_for_every_alert() -> None:
    """Each alert has a chapter with Means, Look and Do, and each chapter an alert."""
    chapters = dict(re.findall(r"^### (Territory\w+)\n(.*?)(?=^#|\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL))
    assert chapters.keys() == {rule["alert"] for rule in alerts()}
    for name, text in chapters.items():
        for part in ("**Means.**", "**Look.**", "**Do.**"):
            assert part in text, f"{name}: {part}"


def test_recordings_are_named_by_level_metric_and_operations() -> None:
    """Recordings are named level:metric:operations; the level is the labels that remain."""
    for rule in recordings():
        level, metric, operations = rule["record"].split(":")
        assert OPERATIONS.fullmatch(operations), rule["record"]
        assert metric.startswith("territory_")
        if "sum by" in rule["expr"] or "max by" in rule["expr"]:
            by = {tuple(part.replace(" ", "").split(",")) for part in re.findall(r"by \(([^)]+)\)", rule["expr"])}
            assert tuple(level.split("_")) in {tuple(name for name in one if name != "le") for one in by}


def test_no_name_is_given_twice() -> None:
    """Rule names are unique: two rules with one name would be one series, or one chapter."""
    names = Counter(rule.get("alert", rule.get("record")) for rule in rules())
    assert set(names.values()) == {1}


def test_rules_read_what_there_is() -> None:
    """Every metric that a rule reads is on the page of metrics, a recording rule, or redis_exporter's."""
    there = {row.name for row in rows()} | {rule["record"] for rule in recordings()} | {"up"}
    there |= {f"{row.name}{end}" for row in rows() if row.kind == "histogram" for end in ("_bucket", "_count", "_sum")}
    there |= {"redis_memory_used_bytes", "redis_memory_max_bytes"}
    for rule in rules():
        names = names_in(rule["expr"])
        assert names, rule["expr"]
        assert names <= there, names - there


def test_buckets_that_rules_read_are_there() -> None:
    """Rules use only bucket bounds that the histograms have: with another bound a rule would never fire."""
    from territory_runtime.metrics import EVENT_TO_VISIBLE, REVOCATION  # noqa: PLC0415 -- by name, below

    of = {"territory_event_to_visible_seconds": EVENT_TO_VISIBLE, "territory_revocation_seconds": REVOCATION}
    found = 0
    for rule in rules():
        for name, bound in re.findall(r'(territory_\w+_seconds)_bucket\{le="([^"]+)"\}', rule["expr"]):
            assert bound in {str(one) for one in of[name]._upper_bounds}, rule["record"]
            found += 1
    assert found


def test_links_of_the_pages_have_chapters() -> None:
    """Links from the page of metrics lead to existing chapters of the runbook."""
    links = re.findall(r"runbook\.md#(\w+)", (ROOT / "docs" / "metrics.md").read_text())
    assert links
    assert set(links) <= anchors(RUNBOOK)
