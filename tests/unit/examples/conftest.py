"""The example of this repository, read once: its files, its mapping, its model."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "crm-sales-opportunities"

Table = list[dict[str, str]]


@pytest.fixture(scope="session")
def example() -> Path:
    """The folder of the example."""
    return EXAMPLE


@pytest.fixture(scope="session")
def mapping(example: Path) -> ModuleType:
    """The mapping, loaded by path, as anyone who has only the folder would."""
    spec = importlib.util.spec_from_file_location("crm_sales_opportunities_mapping", example / "mapping.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def changes(mapping: ModuleType, example: Path) -> list[dict[str, Any]]:
    """Every change that the mapping yields."""
    return list(mapping.changes(example / "data"))


@pytest.fixture(scope="session")
def model(example: Path) -> dict[str, Any]:
    """The model of the example, as it is written."""
    loaded: dict[str, Any] = yaml.safe_load((example / "model.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="session")
def tables(example: Path) -> dict[str, Table]:
    """The lines of each CSV file by its name, untouched."""
    return {path.stem: table(path) for path in example.glob("data/*.csv")}


def table(path: Path) -> Table:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
