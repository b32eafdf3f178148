"""Reads the YAML or JSON text of a model into plain JSON values, with the line and column of every part.

YAML is read by the core schema of YAML 1.2, and each unquoted value by the type that its place expects (C11).
Everything wrong with the text becomes a fault; what can be read is read on.
"""

from territory.model.text.reading import (
    ALIASED_VALUES_MAX,
    DOCUMENT_CHARACTERS_MAX,
    TEXT_FAULTS_MAX,
    ModelText,
    parse_text,
    read_text,
)

__all__ = [
    "ALIASED_VALUES_MAX",
    "DOCUMENT_CHARACTERS_MAX",
    "TEXT_FAULTS_MAX",
    "ModelText",
    "parse_text",
    "read_text",
]
