"""Reads what is well-formed of a malformed piece, so that its faults do not hide those of the rest.

A salvaged piece is checked like any other, but a model with one is never compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from territory.model.pieces import Piece

_Piece = TypeVar("_Piece", bound=Piece)

_ID = "id"


def salvaged(kind: type[_Piece], raw: object, malformed: Sequence[tuple[int | str, ...]], index: int) -> _Piece | None:
    """Return a piece without its malformed parts; None if too little is left of it.

    Args:
        kind: The kind of piece.
        raw: The piece as written.
        malformed: The paths of the malformed parts within it.
        index: The position in its list, which stands for an id that is no text.
    """
    if not isinstance(raw, Mapping):
        return None
    parts = dict(raw)
    inner: dict[Any, set[int | str]] = {}
    for name, *rest in malformed:
        if rest and isinstance(raw.get(name), dict | list):
            inner.setdefault(name, set()).add(rest[0])
        else:
            parts.pop(str(name), None)
    for name, bad in inner.items():
        if name in parts:
            parts[str(name)] = _without(raw[name], bad)
    for name, field in kind.model_fields.items():
        key = field.alias or name
        if field.is_required() and key not in parts:
            parts[key] = _stand_in(field.annotation)
    try:
        piece = kind.model_validate(parts)
    except ValidationError:
        return None
    if _ID not in kind.model_fields:
        return piece
    written = raw.get(_ID)
    return piece.model_copy(update={_ID: written if isinstance(written, str) else str(index)})


def _without(container: Any, bad: set[int | str]) -> Any:
    if isinstance(container, dict):
        return {key: value for key, value in container.items() if key not in bad}
    return ["?" if place in bad else value for place, value in enumerate(container)]  # so the others keep their places


def _stand_in(annotation: Any) -> object:
    """Return some value of the type of a required attribute."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    if annotation is Decimal:
        return "1"
    return "XXX" if annotation is str else {}
