"""Reads a model document into typed pieces and reports every fault of shape by its path.

`pieces.py` has the shape of each piece; `checks.py` checks what the pieces mean together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from territory.criteria.values import FieldType
from territory.errors import Fault
from territory.model.keyed_pieces import document_of, oversized, pieces_of, target_id
from territory.model.pieces import (
    OBJECTS,
    ORG_PATTERN,
    Category,
    DealStage,
    FieldDeclaration,
    Group,
    Level,
    ObjectType,
    Organisation,
    Piece,
    PieceKey,
    Rate,
    Role,
    RuledObject,
    SalesTarget,
    SharingRule,
    Territory,
    User,
    is_org_id,
)
from territory.model.text import ALIASED_VALUES_MAX, DOCUMENT_CHARACTERS_MAX, parse_text
from territory.wire.codec import JSON, MESSAGE_LEVELS_MAX, WRITABLE_INTEGERS, encode

__all__ = [
    "ALIASED_VALUES_MAX",
    "DOCUMENT_CHARACTERS_MAX",
    "FIELDS_DECLARED_MAX",
    "FIELD_NAME_CHARACTERS_MAX",
    "LIST_SECTIONS",
    "OBJECTS",
    "ORG_PATTERN",
    "SHOWN_CHARACTERS_MAX",
    "Category",
    "Document",
    "Level",
    "ObjectType",
    "PieceKey",
    "RuledObject",
    "SharingRule",
    "document_of",
    "is_org_id",
    "oversized",
    "parse_text",
    "pieces_of",
    "read_document",
    "target_id",
]

SHOWN_CHARACTERS_MAX = 80
FIELDS_DECLARED_MAX = 2_000
"""Declared fields of one object: as many as a record may carry. Deciding a record reads all of them."""
FIELD_NAME_CHARACTERS_MAX = 255

_Piece = TypeVar("_Piece", bound=Piece)
_Container = TypeVar("_Container", list[Any], dict[str, Any])

LIST_SECTIONS: dict[str, type[Piece]] = {
    "rates": Rate,
    "roles": Role,
    "users": User,
    "groups": Group,
    "territories": Territory,
    "targets": SalesTarget,
    "sharing": SharingRule,
}
_ORGANISATION_KEYS = tuple(Organisation.model_fields)
_KEYS = ("org", *_ORGANISATION_KEYS, "fields", "stages", "tables", "frozen_periods", *LIST_SECTIONS)


@dataclass(slots=True)
class Document:
    """A whole model as written: every piece is well-formed, nothing is checked across pieces."""

    org: str
    organisation: Organisation = field(default_factory=Organisation)
    fields: dict[ObjectType, dict[str, FieldType]] = field(default_factory=dict)
    stages: dict[str, DealStage] = field(default_factory=dict)
    rates: list[Rate] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    territories: list[Territory] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)
    targets: list[SalesTarget] = field(default_factory=list)
    frozen_periods: list[str] = field(default_factory=list)
    sharing: list[SharingRule] = field(default_factory=list)
    known_ids: dict[str, set[str]] = field(default_factory=dict)
    """Ids by section, including those of malformed pieces: a reference to one is not a second fault."""


def _unwritable(raw: JSON) -> str | None:
    """Return why a value can't be written to the log and read back unchanged; None if it can.

    Checks the types of all values, which takes a third of the time of a round trip (measured with 15 MB).
    """
    try:
        encode(raw)
    except (TypeError, ValueError, RecursionError) as fault:  # too deep, or half of a surrogate pair
        return str(fault)
    layer: list[Any] = [[raw]]
    for _ in range(MESSAGE_LEVELS_MAX + 1):
        inner: list[Any] = []
        for container in layer:
            if type(container) is dict:
                for key in container:
                    if type(key) is not str:
                        return _NOT_JSON
                items = container.values()
            else:
                items = container
                if set(map(type, items)) == _TEXTS:
                    continue  # the common case: most values are in long lists of texts
            for item in items:
                kind = type(item)
                if kind is dict or kind is list:
                    inner.append(item)
                elif kind not in _PLAIN_KINDS and not _is_number_of_json(item):
                    return _NOT_JSON
        layer = inner
        if not layer:
            return None
    return f"found values nested deeper than {MESSAGE_LEVELS_MAX} levels; flatten them"


def _is_number_of_json(item: object) -> bool:
    if type(item) is int:
        return item in WRITABLE_INTEGERS
    return type(item) is float and math.isfinite(item)


_TEXTS = {str}
_PLAIN_KINDS = {str, bool, type(None)}
_NOT_JSON = "numbers of more than 64 bits and infinite ones must be in quotes, keys be texts"


def read_document(raw: JSON) -> tuple[Document, list[Fault]]:
    """Return the well-formed pieces of a model, and every fault of shape by its path."""
    if not isinstance(raw, dict):
        return Document(org=""), [Fault("model", f"found {type(raw).__name__}, expected a mapping with org, roles, …")]
    unwritable = _unwritable(raw)
    if unwritable is not None:
        return Document(org=""), [Fault("model", f"can't be written as JSON: {unwritable}")]
    faults = [Fault(str(key), f"unknown key; known are {', '.join(_KEYS)}") for key in raw if key not in _KEYS]
    org = raw.get("org")
    if not is_org_id(org):
        faults.append(Fault("org", f"found {org!r}, expected 1 to 100 letters, digits, '.', '_' or '-'"))
    document = Document(org=str(org))
    document.organisation = (
        _read(Organisation, {key: raw[key] for key in _ORGANISATION_KEYS if key in raw}, "", faults)
        or document.organisation
    )
    for name, kind in LIST_SECTIONS.items():
        items = _typed(raw, name, list, faults)
        document.known_ids[name] = {item["id"] for item in items if isinstance(item, dict) and _is_text(item.get("id"))}
        getattr(document, name).extend(
            piece
            for index, item in enumerate(items)
            if (piece := _read(kind, item, _item_path(name, index, item), faults)) is not None
        )
    _read_fields(raw, document, faults)
    for name, item in _typed(raw, "stages", dict, faults).items():
        stage = _read(DealStage, item, f"stages[{name}]", faults)
        if stage is not None:
            document.stages[name] = stage
    _read_tables(raw, document, faults)
    for index, name in enumerate(_typed(raw, "frozen_periods", list, faults)):
        if _is_text(name):
            document.frozen_periods.append(name)
        else:
            faults.append(Fault(f"frozen_periods[{index}]", f"found {name!r}, expected a period"))
    return document, faults


def _read_fields(raw: dict[str, JSON], document: Document, faults: list[Fault]) -> None:
    for name, declared in _typed(raw, "fields", dict, faults).items():
        path = f"fields[{name}]"
        if name not in OBJECTS:
            faults.append(Fault(path, f"unknown object; known are {', '.join(OBJECTS)}"))
        elif not isinstance(declared, dict):
            faults.append(Fault(path, f"found {type(declared).__name__}, expected field names with their types"))
        elif len(declared) > FIELDS_DECLARED_MAX:
            faults.append(Fault(path, f"found {len(declared)} fields, expected at most {FIELDS_DECLARED_MAX}"))
        else:
            types = document.fields.setdefault(name, {})
            for field_name, kind in declared.items():
                if len(field_name) > FIELD_NAME_CHARACTERS_MAX:
                    beginning = f"{field_name[:SHOWN_CHARACTERS_MAX]}…"
                    expected = f"expected a name of at most {FIELD_NAME_CHARACTERS_MAX}"
                    faults.append(Fault(f"{path}[{beginning}]", f"found {len(field_name)} characters, {expected}"))
                    continue
                declaration = _read(FieldDeclaration, {"type": kind}, f"{path}[{field_name}]", faults)
                if declaration is not None:
                    types[field_name] = declaration.type


def _read_tables(raw: dict[str, JSON], document: Document, faults: list[Fault]) -> None:
    tables = _typed(raw, "tables", dict, faults)
    document.known_ids["tables"] = set(tables)
    for name, items in tables.items():
        if not isinstance(items, list) or not all(_is_text(item) for item in items):
            faults.append(Fault(f"tables[{name}]", "expected a list of texts; put numbers in quotes"))
        elif not all(map(str.strip, items)):
            blank = next(index for index, item in enumerate(items) if not item.strip())
            faults.append(Fault(f"tables[{name}][{blank}]", f"found {items[blank]!r}, expected a text; remove it"))
        else:
            document.tables[name] = items


def _is_text(item: object) -> bool:
    return isinstance(item, str)


def _item_path(name: str, index: int, item: object) -> str:
    named = isinstance(item, dict) and _is_text(item.get("id"))
    return f"{name}[{item['id'] if named else index}]"  # type: ignore[index]  # named: it is a dict


def _typed(raw: Mapping[str, Any], name: str, kind: type[_Container], faults: list[Fault]) -> _Container:
    found = raw.get(name)
    if isinstance(found, kind):
        return found
    if found is not None:
        expected = "list" if kind is list else "mapping"
        faults.append(Fault(name, f"found {type(found).__name__}, expected a {expected}"))
    return kind()


def _read(kind: type[_Piece], raw: object, path: str, faults: list[Fault]) -> _Piece | None:
    try:
        return kind.model_validate(raw)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
            faults.append(Fault((path + where).lstrip(".") or "model", _reason(error)))
        return None


def _reason(error: Any) -> str:
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "extra_forbidden":
        return "unknown key"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"found {repr(error['input'])[:SHOWN_CHARACTERS_MAX]}: {error['msg'][0].lower()}{error['msg'][1:]}"
