"""The expressions of deploy/prometheus and deploy/grafana, one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
RUNBOOK = ROOT / "docs" / "runbook.md"

BUILT_IN = frozenset({"up"})
"""Metrics of Prometheus itself."""


class Asked(NamedTuple):
    """One expression and its place."""

    where: str
    expression: str


def rules() -> Iterator[dict[str, Any]]:
    """Yield the rules of every file, alerts and recordings."""
    for path in sorted((PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def alerts() -> list[dict[str, Any]]:
    """Return the alerts."""
    return [rule for rule in rules() if "alert" in rule]


def recordings() -> list[dict[str, Any]]:
    """Return the recording rules."""
    return [rule for rule in rules() if "record" in rule]


def dashboards() -> dict[str, dict[str, Any]]:
    """Return the dashboards that are committed, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def of_dashboards() -> list[Asked]:
    """Return the expressions of the dashboards' panels."""
    return [
        Asked(f"{name}: {panel['title']}", target["expr"])
        for name, dashboard in dashboards().items()
        for panel in _panels(dashboard)
        for target in panel.get("targets", ())
    ]


def _panels(parent: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in parent.get("panels", ()):
        yield panel
        yield from _panels(panel)


def names_in(expression: str) -> set[str]:
    """Return the metrics and recordings that an expression reads."""
    bare = re.sub(r'"[^"]*"', "", expression)
    found = set(re.findall(r"\b[a-z_]+:[a-z_]+:\w+", bare))
    for name in re.findall(r"(?<![\w:])(?:territory|redis|process|python)_\w+(?![\w:])", bare):
        found.add(name)
    return found | {name for name in BUILT_IN if re.search(rf"(?<![\w:]){name}(?![\w:(])", bare)}


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts generate them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
