"""Reads a model document into typed pieces and reports every fault of shape by its path.

`pieces.py` has the shape of each piece; `checks.py` checks what the pieces mean together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from territory.criteria.faults import kind_of
from territory.criteria.values import FieldType
from territory.errors import Fault
from territory.model.keyed_pieces import document_of, oversized, pieces_of, target_id
from territory.model.pieces import (
    CURRENCY_PATTERN,
    LIST_SECTIONS,
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
from territory.model.salvage import salvaged
from territory.model.text import ALIASED_VALUES_MAX, DOCUMENT_CHARACTERS_MAX, ModelText, parse_text, read_text
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
    "ModelText",
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
    "read_text",
    "target_id",
]

SHOWN_CHARACTERS_MAX = 80
FIELDS_DECLARED_MAX = 2_000
"""Declared fields of one object: as many as a record may carry. Deciding a record reads all of them."""
FIELD_NAME_CHARACTERS_MAX = 255

_Piece = TypeVar("_Piece", bound=Piece)
_Container = TypeVar("_Container", list[Any], dict[str, Any])

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
    indices: dict[str, list[int]] = field(default_factory=dict)
    """By list section, the position in the document of each piece that could be read."""
    malformed: frozenset[str] = frozenset()
    """The paths of all faults of shape. What was read there stands in for the right value, so it has no other fault."""

    def placed(self, name: str) -> Iterator[tuple[str, Any]]:
        """Yield the pieces of a list section, each with its path by position."""
        for index, piece in zip(self.indices.get(name, ()), getattr(self, name), strict=True):
            yield f"{name}[{index}]", piece

    def is_malformed(self, path: str) -> bool:
        """Whether a path is that of a malformed part, or within one."""
        return path in self.malformed or not self.malformed.isdisjoint(_above(path))


def _above(path: str) -> list[str]:
    return [path[:end] for end, character in enumerate(path) if character in ".["]


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
    """Return the pieces of a model, and every fault of shape by its path.

    Of a malformed piece, what is well-formed is read all the same.
    """
    if not isinstance(raw, dict):
        return Document(org=""), [Fault("model", f"found {kind_of(raw)}, expected a mapping with org, roles, …")]
    unwritable = _unwritable(raw)
    if unwritable is not None:
        return Document(org=""), [Fault("model", f"can't be written as JSON: {unwritable}")]
    faults = [Fault(str(key), f"unknown key; known are {', '.join(_KEYS)}") for key in raw if key not in _KEYS]
    org = raw.get("org")
    if not is_org_id(org):
        faults.append(Fault("org", f"found {org!r}, expected 1 to 100 letters, digits, '.', '_' or '-'"))
    document = Document(org=str(org))
    document.organisation = (
        _read(Organisation, {key: raw[key] for key in _ORGANISATION_KEYS if key in raw}, "", faults, 0)
        or document.organisation
    )
    for name, kind in LIST_SECTIONS.items():
        items = _typed(raw, name, list, faults)
        document.known_ids[name] = {item["id"] for item in items if isinstance(item, dict) and _is_text(item.get("id"))}
        pieces = [_read(kind, item, _item_path(name, index, item), faults, index) for index, item in enumerate(items)]
        document.indices[name] = [index for index, piece in enumerate(pieces) if piece is not None]
        getattr(document, name).extend(piece for piece in pieces if piece is not None)
    _read_fields(raw, document, faults)
    for name, item in _typed(raw, "stages", dict, faults).items():
        stage = _read(DealStage, item, f"stages[{name}]", faults, 0)
        if stage is not None:
            document.stages[name] = stage
    _read_tables(raw, document, faults)
    for index, name in enumerate(_typed(raw, "frozen_periods", list, faults)):
        if _is_text(name):
            document.frozen_periods.append(name)
            document.indices.setdefault("frozen_periods", []).append(index)
        else:
            faults.append(Fault(f"frozen_periods[{index}]", f"found {name!r}, expected a period"))
    document.malformed = frozenset(fault.path for fault in faults)
    return document, faults


def _read_fields(raw: dict[str, JSON], document: Document, faults: list[Fault]) -> None:
    for name, declared in _typed(raw, "fields", dict, faults).items():
        path = f"fields[{name}]"
        if name not in OBJECTS:
            faults.append(Fault(path, f"unknown object; known are {', '.join(OBJECTS)}"))
        elif not isinstance(declared, dict):
            faults.append(Fault(path, f"found {kind_of(declared)}, expected field names with their types"))
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
                known = len(faults)
                declaration = _read(FieldDeclaration, {"type": kind}, f"{path}[{field_name}]", faults, 0)
                if declaration is not None and len(faults) == known:  # no type stands in for a malformed one
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
        faults.append(Fault(name, f"found {kind_of(found)}, expected a {expected}"))
    return kind()


def _read(kind: type[_Piece], raw: object, path: str, faults: list[Fault], index: int) -> _Piece | None:
    """Return a piece, or what is well-formed of it; None if that is too little."""
    try:
        return kind.model_validate(raw)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        for error in errors:
            loc = [part for part in error["loc"] if part != "[key]"]  # pydantic's mark of a mapping's key
            where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
            faults.append(Fault((path + where).lstrip(".") or "model", _reason(error, kind)))
        return salvaged(kind, raw, [error["loc"] for error in errors], index)


def _reason(error: Any, kind: type[BaseModel]) -> str:
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "extra_forbidden":
        known = ", ".join(field.alias or name for name, field in kind.model_fields.items())
        return f"unknown key; known are {known}" if len(error["loc"]) == 1 else "unknown key"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["input"] is None:
        found = "nothing"
    else:
        found = str(error["input"]).lower() if isinstance(error["input"], bool) else repr(error["input"])
    return f"found {found[:SHOWN_CHARACTERS_MAX]}{_expected(error)}"


_EXPECTED = {
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
"""By pydantic's type of a fault, what was expected in the words of people who write models."""


def _expected(error: Any) -> str:
    """Return what was expected, to be put after what was found."""
    if known := _EXPECTED.get(error["type"]):
        return f", expected {known}"
    if error["type"] == "literal_error":
        why = "; contacts have no rules, they follow their account" if error["input"] == "contact" else ""
        return f", expected {error['ctx']['expected']}{why}"
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == CURRENCY_PATTERN:
        return ", expected three capital letters such as EUR"
    message = str(error["msg"])
    value = message.removeprefix("Input should be ")
    return f", expected a value {value}" if value != message else f": {message[0].lower()}{message[1:]}"
