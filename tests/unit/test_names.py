"""Names of classes across the product."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("schemas", "services") for path in (ROOT / folder).rglob("*.py"))


def classes_in(source: str) -> list[str]:
    """Return the names of all classes of a module, nested and private ones as well."""
    return [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]


def test_no_two_classes_share_a_name() -> None:
    """A class name means one thing in all of schemas and services, whether it is public or private."""
    modules: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        for name in classes_in(path.read_text(encoding="utf-8")):
            modules[name.lstrip("_")].append(str(path.relative_to(ROOT)))
    assert len(modules) > 150
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}


def test_every_class_is_found() -> None:
    """Public, private and nested classes are collected; functions and assignments are not."""
    source = "class One(Base):\n    class _Two: ...\ndef three():\n    class Four: ...\nFive = int"
    assert sorted(classes_in(source)) == ["Four", "One", "_Two"]
