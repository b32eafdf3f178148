"""Writes the generated contracts: `python -m territory_contracts FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from territory_contracts.asyncapi import EVENTS, asyncapi
from territory_contracts.json_schemas import event_schema, model_schema


def generated_files() -> dict[str, str]:
    """Return the text of every generated file by its name."""
    kinds = {kind.__name__: kind for group in EVENTS.values() for kind in group}
    documents = {f"{name}.json": event_schema(kind) for name, kind in kinds.items()}
    documents["Model.json"] = model_schema()
    documents["asyncapi.json"] = asyncapi()
    return {name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in documents.items()}


def main(arguments: list[str]) -> int:
    """Write all files to a folder and remove other JSON files from it; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m territory_contracts FOLDER\n")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    files = generated_files()
    for old in folder.glob("*.json"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
