"""The tables of schemas/README.md."""

from __future__ import annotations

import re
from pathlib import Path

from territory.wire.topics import TOPICS

README = (Path(__file__).parents[2] / "schemas" / "README.md").read_text(encoding="utf-8")
CODE = Path(__file__).parents[2] / "schemas"


def rows_of(heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading."""
    table = re.search(r"(?:^\|.*\n)+", README[README.index(heading) :], re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[0].splitlines()[2:]]


def test_the_table_of_topics() -> None:
    """The README has every topic with its retention, its writers and its readers."""
    found = {row[0].strip("`"): [cell.replace("`", "") for cell in row[3:]] for row in rows_of("## Topics")}
    assert found == {
        topic.name: [
            ("compacted" if topic.cleanup == "compact" else f"{topic.retention_days} days")
            + (", 1 partition" if topic.partitions == 1 else ""),
            topic.written_by,
            topic.read_by,
        ]
        for topic in TOPICS
    }


def test_every_term_has_one_meaning() -> None:
    """The glossary lists each term once, with one sentence."""
    glossary = {row[0]: row[1] for row in rows_of("## Glossary")}
    assert len(glossary) == len(rows_of("## Glossary"))
    assert all(meaning.count(". ") == 0 and meaning.endswith(".") for meaning in glossary.values())


def test_the_guide_names_every_module() -> None:
    """The guide to the folders names every module of the language."""
    modules = {path.stem for path in (CODE / "territory").rglob("*.py")} - {"__init__"}
    assert modules <= set(re.findall(r"`(?:[a-z_]+/)*([a-z_]+)(?:\.py)?`", README))
