"""A model as keyed messages: a document split into pieces, put together again, and its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from territory.errors import Fault
from territory.model.pieces import Organisation, PieceKey
from territory.wire.codec import JSON, MESSAGE_BYTES_MAX, encode

_SECTION_OF_MAPPING = {"fields": "fields", "stage": "stages", "table": "tables"}
_SECTION_OF_LIST = {
    "rate": "rates",
    "role": "roles",
    "user": "users",
    "group": "groups",
    "territory": "territories",
    "target": "targets",
    "sharing": "sharing",
}
_KINDS_WITH_IDS = ("role", "user", "group", "territory", "sharing")
_ORGANISATION_KEYS = tuple(Organisation.model_fields)


def pieces_of(raw: Mapping[str, JSON]) -> dict[PieceKey, JSON]:
    """Split a validated document into pieces by kind and id; the inverse of `document_of`."""
    pieces: dict[PieceKey, JSON] = {
        ("organisation", "settings"): {key: raw[key] for key in _ORGANISATION_KEYS if key in raw}
    }
    pieces.update(_nested_pieces(raw))
    for item in _items(raw, "rates"):
        pieces["rate", f"{item['from']}.{item['period']}"] = item
    for item in _items(raw, "targets"):
        pieces["target", target_id(item["territory"], item["period"], item.get("user"))] = item
    for name in _items(raw, "frozen_periods"):
        pieces["frozen", name] = True
    for kind in _KINDS_WITH_IDS:
        for item in _items(raw, _SECTION_OF_LIST[kind]):
            pieces[kind, item["id"]] = item
    return pieces


def document_of(org: str, pieces: Mapping[PieceKey, JSON]) -> dict[str, JSON]:
    """Put pieces together into a document, with lists ordered by id."""
    document: dict[str, Any] = {"org": org}
    for (kind, name), value in sorted(pieces.items(), key=lambda item: item[0]):
        if kind == "organisation":
            known = {key: value[key] for key in _ORGANISATION_KEYS if key in value} if isinstance(value, dict) else {}
            document.update(known)
            if known != value:  # unknown keys from another writer; validation reports them
                document["organisation"] = value
        elif kind == "frozen":
            document.setdefault("frozen_periods", []).append(name)
        elif kind in _SECTION_OF_MAPPING:
            document.setdefault(_SECTION_OF_MAPPING[kind], {})[name] = value
        elif kind in _SECTION_OF_LIST:
            document.setdefault(_SECTION_OF_LIST[kind], []).append(value)
    return document


def digest_of(pieces: Mapping[PieceKey, JSON]) -> str:
    """Return the digest that an activation carries; it matches only a complete set of pieces."""
    digest = hashlib.sha256()
    for key in sorted(pieces):
        digest.update(encode([*key, pieces[key]]))
    return digest.hexdigest()


def oversized(raw: Mapping[str, JSON]) -> Iterator[Fault]:
    """Yield a fault for every piece of a validated document that is larger than a message may be."""
    if len(encode(raw)) <= MESSAGE_BYTES_MAX:
        return
    sections = {**_SECTION_OF_MAPPING, **_SECTION_OF_LIST}
    for (kind, name), piece in pieces_of(raw).items():
        size = len(encode(piece))
        if size > MESSAGE_BYTES_MAX:
            path = f"{sections.get(kind, kind)}[{name}]"
            yield Fault(path, f"takes {size} bytes as JSON, expected at most {MESSAGE_BYTES_MAX}; split it")


def target_id(territory: str, period: str, user: str | None) -> str:
    """Return the id of a target's piece. It is unambiguous because ids hold no colon."""
    return f"{territory}:{period}" if user is None else f"{territory}:{period}:{user}"


def _items(raw: Mapping[str, Any], name: str) -> list[Any]:
    return raw.get(name) or []


def _nested_pieces(raw: Mapping[str, Any]) -> Iterator[tuple[PieceKey, JSON]]:
    for name, declared in (raw.get("fields") or {}).items():
        yield ("fields", name), declared
    for name, stage in (raw.get("stages") or {}).items():
        yield ("stage", name), stage
    for name, values in (raw.get("tables") or {}).items():
        yield ("table", name), values
