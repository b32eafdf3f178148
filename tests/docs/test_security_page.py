"""The page of security names existing code, tests and files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import assigner.assignment.explanations
import assigner.intake.merge
import territory.criteria.parsing
import territory.criteria.values
import territory.model.compiled
import territory.model.document
import territory.wire.codec
import territory.wire.events
import territory_runtime.kafka.clients

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
MODULES = {
    "intake": assigner.intake.merge,
    "explanations": assigner.assignment.explanations,
    "codec": territory.wire.codec,
    "parsing": territory.criteria.parsing,
    "document": territory.model.document,
    "events": territory.wire.events,
    "compiled": territory.model.compiled,
    "values": territory.criteria.values,
    "clients": territory_runtime.kafka.clients,
}
BOUNDS = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE[PAGE.index("## Bounds") :], re.MULTILINE)[2:]


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound[0])
def test_every_bound_is_there_and_tried(bound: tuple[str, str, str, str]) -> None:
    """Each bound on the page equals the constant it names, and its test file exists."""
    _, most, where, tests = bound
    names = re.findall(r"`(\w+)\.(\w+)`", where)
    assert names
    for module, name in names:
        value = getattr(MODULES[module], name)
        if isinstance(value, int) and module != "clients":
            assert "Mi" in most or f"{value:,}".replace(",", " ") in most, (name, value)
    for file in re.findall(r"`([\w/]+)`", tests):
        folder = ROOT if file.startswith("tests/") else ROOT / "tests" / "unit"
        assert (folder / f"{file}.py").exists(), file


def test_there_are_bounds() -> None:
    """The table of bounds is found."""
    assert len(BOUNDS) > 12


def test_files_that_it_names_are_there() -> None:
    """Every path and every link on the page exists."""
    for path in re.findall(r"`((?:tests|deploy)/[\w/.-]+\.(?:py|sh|yaml))`", PAGE):
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\((\.\./[^)#]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
