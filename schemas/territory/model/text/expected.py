"""The type that each place of a model expects, and unquoted scalars read by it (C11).

The types come from the attributes of the pieces, so a new attribute needs no entry here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from territory.criteria.operators import OPERATORS
from territory.criteria.values import FIELD_TYPES
from territory.model.pieces import LIST_SECTIONS, DealStage, FieldDeclaration, Organisation, Piece
from territory.model.text.nodes import Unquoted
from territory.wire.codec import WRITABLE_INTEGERS, exact_float

_WHOLE = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+.*")
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_ANSWERS = {
    form: value
    for word, value in {"yes": True, "on": True, "no": False, "off": False}.items()
    for form in (word, word.capitalize(), word.upper())
}
"""What YAML 1.1 took for true and false as well. Only where true or false is expected: elsewhere NO is Norway."""

Reader = Callable[[Any], Any]
"""Reads a JSON value with `Unquoted` scalars, and returns it without them."""


def settled_model(raw: Any) -> Any:
    """Return a whole model with each unquoted scalar read by the type that its place expects."""
    return _model_reader(_declared_of(raw))(raw)


# --- scalars ---------------------------------------------------------------------------------


def _is_null(raw: object) -> bool:
    return raw is None or (isinstance(raw, Unquoted) and raw in _NULL)


def _text(raw: Any) -> Any:
    if isinstance(raw, bool):
        return str(raw).lower()  # from JSON, which writes it in no other way
    return None if _is_null(raw) else str(raw)


def _number(raw: Any) -> Any:
    """Read a decimal number. Zeros in front are kept, in a text: explanations show what the author wrote."""
    if not isinstance(raw, Unquoted):
        return raw
    if raw in _NULL:
        return None
    if not _NUMBER.fullmatch(raw) or _LEADING_ZERO.fullmatch(raw):
        return str(raw)
    return _whole_number(raw) if _WHOLE.fullmatch(raw) else exact_float(str(raw))


def _whole_number(text: str) -> int | str:
    if len(text) > len(str(WRITABLE_INTEGERS.stop)) or int(text) not in WRITABLE_INTEGERS:
        return str(text)
    return int(text)


def _whole(raw: Any) -> Any:
    if isinstance(raw, Unquoted) and _WHOLE.fullmatch(raw):
        return _whole_number(raw)
    return _as_written(raw)


def _boolean(raw: Any) -> Any:
    return _ANSWERS[raw] if isinstance(raw, Unquoted) and raw in _ANSWERS else _as_written(raw)


def _core(raw: Any) -> Any:
    """Read a scalar by the core schema of YAML 1.2, where nothing is known about its place."""
    return _BOOLEAN[raw] if isinstance(raw, Unquoted) and raw in _BOOLEAN else _number(raw)


def _as_written(raw: Any) -> Any:
    """Return the value of a scalar of the wrong type; as text where the value would be shown in another form."""
    value = _core(raw)
    return value if not isinstance(raw, Unquoted) or isinstance(value, bool | None) or str(value) == raw else str(raw)


# --- containers ------------------------------------------------------------------------------


def _each(reader: Reader, raw: Any) -> Any:
    """Read all values of a list or a mapping, at any depth, in one way."""
    if isinstance(raw, dict):
        return {key: _each(reader, value) for key, value in raw.items()}
    if isinstance(raw, list):
        if set(map(type, raw)) == {str}:
            return raw  # most values of a large model are in long lists of texts
        return [_each(reader, value) for value in raw]
    return reader(raw)


def _items(reader: Reader, raw: Any) -> Any:
    return [reader(item) for item in raw] if isinstance(raw, list) else _each(_as_written, raw)


def _members(reader: Reader, raw: Any) -> Any:
    return {key: reader(value) for key, value in raw.items()} if isinstance(raw, dict) else _each(_as_written, raw)


def _record(readers: Mapping[str, Reader], raw: Any) -> Any:
    if not isinstance(raw, dict):
        return _each(_as_written, raw)
    return {key: readers.get(key, _anything)(value) for key, value in raw.items()}


_anything: Reader = partial(_each, _core)
_texts: Reader = partial(_each, _text)
_SCALARS: dict[object, Reader] = {bool: _boolean, int: _whole, str: _texts}


@cache
def _piece(kind: type[Piece]) -> Reader:
    """Return the reader of a piece, by the types of its attributes."""
    return partial(
        _record, {field.alias or name: _reader_of(field.annotation) for name, field in kind.model_fields.items()}
    )


def _reader_of(annotation: Any) -> Reader:
    """Return the reader for values of a type; numbers may be written as text, so they need the author's digits."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    arguments = [each for each in get_args(annotation) if each is not type(None)]
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        # The more structured reader leaves plain scalars to the others.
        readers = [_reader_of(each) for each in arguments]
        return readers[0] if len(readers) == 1 else partial(_one_of, readers)
    if origin is Literal:
        return _texts
    if origin is list:
        return partial(_items, _reader_of(arguments[0]))
    if origin is dict:
        return partial(_members, _reader_of(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, Piece):
        return _piece(annotation)
    if annotation is Any:
        return _anything
    return _SCALARS.get(annotation, _number_or_text)


def _one_of(readers: list[Reader], raw: Any) -> Any:
    """Read a value by the first of several types that fits its form: scalars by the first, containers by the last."""
    return readers[-1 if isinstance(raw, dict | list) else 0](raw)


def _number_or_text(raw: Any) -> Any:
    return _each(_number, raw)


# --- the whole model -------------------------------------------------------------------------


def _declared_of(raw: Any) -> dict[str, dict[str, str]]:
    """Return the declared types by object and field, as far as they are well-formed."""
    fields = raw.get("fields") if isinstance(raw, dict) else None
    found: dict[str, dict[str, str]] = {}
    for kind, declared in (fields if isinstance(fields, dict) else {}).items():
        for name, declaration in (declared if isinstance(declared, dict) else {}).items():
            field_type = declaration.get("type") if isinstance(declaration, dict) else declaration
            if field_type in FIELD_TYPES:
                found.setdefault(kind, {})[name] = str(field_type)
    return found


def _model_reader(declared: Mapping[str, Mapping[str, str]]) -> Reader:
    readers: dict[str, Reader] = {
        "org": _texts,
        **{name: _reader_of(field.annotation) for name, field in Organisation.model_fields.items()},
        **{name: partial(_items, _piece(kind)) for name, kind in LIST_SECTIONS.items()},
        "fields": partial(_members, partial(_members, _declaration)),
        "stages": partial(_members, _piece(DealStage)),
        "tables": _texts,
        "frozen_periods": _texts,
        "territories": partial(_items, partial(_territory, declared)),
        "sharing": partial(_items, partial(_sharing, declared)),
    }
    return partial(_record, readers)


def _declaration(raw: Any) -> Any:
    return _piece(FieldDeclaration)(raw) if isinstance(raw, dict) else _texts(raw)


def _territory(declared: Mapping[str, Mapping[str, str]], raw: Any) -> Any:
    read = _piece(LIST_SECTIONS["territories"])(raw)
    if isinstance(raw, dict) and isinstance(raw.get("rules"), dict):
        read["rules"] = {kind: _criteria(declared.get(kind, {}), rule) for kind, rule in raw["rules"].items()}
    return read


def _sharing(declared: Mapping[str, Mapping[str, str]], raw: Any) -> Any:
    read = _piece(LIST_SECTIONS["sharing"])(raw)
    if isinstance(raw, dict) and "criteria" in raw:
        read["criteria"] = _criteria(declared.get(str(raw.get("object")), {}), raw["criteria"])
    return read


# --- criteria --------------------------------------------------------------------------------

_OF_FIELDS: dict[str, Reader] = {"number": _number, "money": _number, "boolean": _boolean, "geo": _number}
_OF_SHAPES: dict[str, Reader] = {
    "table": _text,
    "period": _text,
    "days": _whole,
    "flag": _boolean,
    "circle": _number,
    "region": _core,
}


def _criteria(types: Mapping[str, str], raw: Any) -> Any:
    if isinstance(raw, list):
        return [_criteria(types, part) for part in raw]
    if not isinstance(raw, dict):
        return _as_written(raw)
    if "field" not in raw:
        return {key: _criteria(types, part) for key, part in raw.items()}
    field_type = types.get(raw["field"]) if isinstance(raw["field"], str) else None
    return {
        key: _texts(operand) if key == "field" else _each(_operand_reader(key, field_type), operand)
        for key, operand in raw.items()
    }


def _operand_reader(operator: str, field_type: str | None) -> Reader:
    known = OPERATORS.get(operator)
    if known is not None and known.shape in _OF_SHAPES:
        return _OF_SHAPES[known.shape]
    if field_type is None:
        return _core
    return _OF_FIELDS.get(field_type, _text)
