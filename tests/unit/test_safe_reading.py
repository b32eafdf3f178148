"""No input can run code: no pickle or similar format, and only safe YAML loaders."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "services", "examples", "deploy", "benchmarks", "tests")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

RUNS_CODE = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
UNSAFE_OF_YAML = {
    "unsafe_load", "unsafe_load_all", "full_load", "full_load_all", "UnsafeLoader", "FullLoader", "Loader", "CLoader",
    "CFullLoader", "CUnsafeLoader",
}  # fmt: skip


def faults_in(tree: ast.AST) -> Iterator[str]:
    """Yield every construct of a module that could execute its input."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = {alias.name for alias in node.names}
            for name in {module} | (names if isinstance(node, ast.Import) else set()):
                if name.split(".")[0] in RUNS_CODE:
                    yield f"line {node.lineno} imports {name}"
            if module == "yaml" and names - {"YAMLError", "safe_load", "safe_dump"}:
                yield f"line {node.lineno} imports from yaml; write yaml.NAME, which this test checks"
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "yaml" and node.attr in UNSAFE_OF_YAML:
            yield f"line {node.lineno} uses yaml.{node.attr}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("yaml.load", "yaml.load_all"):
            loader = next((ast.unparse(each.value) for each in node.keywords if each.arg == "Loader"), "none by name")
            if loader not in {"yaml.SafeLoader", "yaml.CSafeLoader"}:
                yield f"line {node.lineno} loads YAML with the loader {loader}"


def test_no_module_can_execute_its_input() -> None:
    """No module of the product, its tests, examples, benchmarks or tools can execute what it reads."""
    found = {
        str(path.relative_to(ROOT)): faults
        for path in SOURCES
        if (faults := list(faults_in(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == {}
    assert len(SOURCES) > 200


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import os, marshal as m",
        "import shelve.x",
        "from yaml import load",
        "import yaml\nyaml.load(x)",
        "import yaml\nyaml.load(x, Loader=yaml.FullLoader)",
        "import yaml\nyaml.load(x, Loader=make())",
        "import yaml\nyaml.load_all(x, loader)",
        "import yaml\nyaml.unsafe_load(x)",
    ],
)
def test_every_unsafe_construct_is_found(text: str) -> None:
    """Each unsafe construct is reported; safe ones are not."""
    assert list(faults_in(ast.parse(text)))
    assert not list(faults_in(ast.parse("import yaml, json\nyaml.safe_load(x)\nyaml.load(x, Loader=yaml.SafeLoader)")))
