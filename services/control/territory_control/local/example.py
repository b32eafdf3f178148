"""The example organisation of the examples folder: its model and its records."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from territory_admin.errors import NotFound

NAME = "crm-sales-opportunities"


def example_folder() -> Path:
    """Return the example's folder, in the repository or packed with this program.

    Raises: NotFound.
    """
    here = Path(__file__).resolve()
    candidates = [here.parents[4] / "examples" / NAME, here.parents[1] / "examples" / NAME]
    for folder in candidates:
        if (folder / "model.yaml").is_file() and (folder / "mapping.py").is_file():
            return folder
    searched = " or ".join(str(folder) for folder in candidates)
    raise NotFound(f"the example {NAME} is not in {searched}; run this from a copy of the repository")


def example_model(folder: Path) -> str:
    """Return the text of the example's model."""
    return (folder / "model.yaml").read_text(encoding="utf-8")


def example_lines(folder: Path) -> list[bytes]:
    """Return the example's records as RecordChange lines, accounts first. Raises: NotFound."""
    spec = importlib.util.spec_from_file_location("territory_example_mapping", folder / "mapping.py")
    if spec is None or spec.loader is None:
        raise NotFound(f"{folder / 'mapping.py'} can't be loaded; run this from a copy of the repository")
    mapping = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mapping)
    return [mapping.line(change) for change in mapping.changes(folder / "data")]
