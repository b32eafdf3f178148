"""What an administrator writes: the pieces of a model, their shape, and reading them from YAML or JSON.

Only shape is checked here, piece by piece, so that all faults are found at once; what the
pieces mean together is checked in `model.py`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from territory.criteria.values import FieldType, number_of
from territory.errors import Fault, ModelRefused
from territory.model.periods import PeriodKind, time_zones
from territory.money import amount_of
from territory.wire.codec import (
    JSON,
    MESSAGE_BYTES_MAX,
    MESSAGE_LEVELS_MAX,
    WRITABLE_INTEGERS,
    encode,
    loads_exactly,
    plain,
)

DOCUMENT_CHARACTERS_MAX = 64 * 1024 * 1024
ALIASED_VALUES_MAX = 1_000_000
SHOWN_CHARACTERS_MAX = 80
FIELDS_DECLARED_MAX = 2_000
"""Of one object: as many as a record may carry. Every record is read by all of them."""
FIELD_NAME_CHARACTERS_MAX = 255

ObjectType = Literal["account", "contact", "lead", "deal"]
RuledObject = Literal["account", "lead", "deal"]
Level = Literal["read", "edit"]
Category = Literal["pipeline", "best_case", "committed", "won", "omitted"]

_ID = re.compile(r"[^\s/:{}\x00-\x1f\x7f]{1,255}")


def _checked_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f"found {text!r}, expected 1 to 255 characters without white space, '/', ':', '{{' or '}}'")
    return text


def _exact(raw: object) -> Decimal:
    amount = amount_of(raw)
    if amount is None:
        raise ValueError(f"found {raw!r}, expected a decimal number, best written as text")
    return amount


Id = Annotated[str, AfterValidator(_checked_id), WithJsonSchema({"type": "string", "pattern": f"^{_ID.pattern}$"})]
_DECIMAL = WithJsonSchema({"type": ["number", "string"], "description": "An exact decimal, best written as text."})
Exact = Annotated[Decimal, BeforeValidator(_exact)]
Share = Annotated[Exact, Field(ge=0, le=1), _DECIMAL]


class Piece(BaseModel):
    """A part of a model that is published under a key of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _time_zone(name: str) -> str:
    if name not in time_zones():
        raise ValueError(f"unknown time zone {name!r}, expected a name of the IANA database such as Europe/Berlin")
    return name


class Switches(Piece):
    """The settings that an organisation chooses."""

    max_territories_per_record: Annotated[int, Field(ge=1)] | None = 10
    territory_access_rolls_up_roles: bool = False
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"


class Organisation(Piece):
    """What is said once for the whole organisation."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    fiscal_year_start: Annotated[int, Field(ge=1, le=12)] = 1
    period: PeriodKind = "quarter"
    settings: Switches = Switches()


class FieldDeclaration(Piece):
    """The type of one field of one object, as far as rules use it."""

    type: FieldType


class Stage(Piece):
    """The forecast category of a deal's stage, and its probability from 0 to 1."""

    category: Category
    probability: Share = Decimal(0)


class Rate(Piece):
    """What one unit of a currency is worth in the organisation's, in one period."""

    source: Annotated[str, Field(alias="from", pattern=r"^[A-Z]{3}$")]
    period: str
    rate: Annotated[Exact, Field(gt=0), _DECIMAL]


class Role(Piece):
    """A place in the role tree."""

    id: Id
    name: str = ""
    parent: Id | None = None


class User(Piece):
    """A person of the organisation, with exactly one role."""

    id: Id
    name: str = ""
    role: Id
    active: bool = True
    admin: bool = False


class Territory(Piece):
    """A part of the market: its place in the tree, its people and its rules."""

    id: Id
    name: str = ""
    parent: Id | None = None
    manager: Id | None = None
    users: list[Id] = []
    permission: Literal["read_only", "read_write_delete"] = "read_only"
    priority: int = 0
    rules: dict[RuledObject, Any] = {}


class Target(Piece):
    """What a territory, or a user in a territory, is to win in a period."""

    territory: Id
    user: Id | None = None
    period: str
    amount: Annotated[Exact, Field(ge=0), _DECIMAL]


class Audience(Piece):
    """Whom a sharing rule gives access to: exactly one of these."""

    user: Id | None = None
    role: Id | None = None
    role_and_below: Id | None = None
    territory: Id | None = None
    territory_and_below: Id | None = None


class SharingRule(Piece):
    """Records that are shared beyond owners, roles and territories (V6)."""

    id: Id
    object: ObjectType
    criteria: Any
    to: Audience
    level: Level = "read"


_Piece = TypeVar("_Piece", bound=Piece)
_Container = TypeVar("_Container", list[Any], dict[str, Any])

PieceKey = tuple[str, str]
"""Kind and id of a piece: the last two parts of its key on the model topic."""


@dataclass(slots=True)
class Document:
    """A whole model as written; every part well-formed, nothing checked across parts."""

    org: str
    organisation: Organisation = field(default_factory=Organisation)
    fields: dict[ObjectType, dict[str, FieldType]] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    rates: list[Rate] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    territories: list[Territory] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    frozen_periods: list[str] = field(default_factory=list)
    sharing: list[SharingRule] = field(default_factory=list)
    known_ids: dict[str, set[str]] = field(default_factory=dict)
    """Ids by kind, those of malformed pieces included: a fault is told once, where it is."""


LIST_SECTIONS: dict[str, type[Piece]] = {
    "rates": Rate,
    "roles": Role,
    "users": User,
    "territories": Territory,
    "targets": Target,
    "sharing": SharingRule,
}
_ORGANISATION_KEYS = tuple(Organisation.model_fields)
_KEYS = ("org", *_ORGANISATION_KEYS, "fields", "stages", "tables", "frozen_periods", *LIST_SECTIONS)
OBJECTS: tuple[ObjectType, ...] = ("account", "contact", "lead", "deal")
ORG_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_ORG = re.compile(ORG_PATTERN)


def is_org_id(text: object) -> bool:
    """Whether a text can name an organisation: letters, digits, dot, underscore, hyphen."""
    return isinstance(text, str) and _ORG.fullmatch(text) is not None


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]  # libyaml may be absent
    """The safe loader, refusing a key that is written twice (one of the two would be lost), and exact."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        if len(set(written)) < len(written):
            raise ModelRefused([_twice(f"line {node.start_mark.line + 1}", written)])
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float | str:
        number: float = super().construct_yaml_float(node)
        exact = number_of(node.value)
        kept = math.isfinite(number) and (exact is None or exact == number_of(number))
        return number if kept else str(node.value)


_MERGE = "tag:yaml.org,2002:merge"
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)

# What PyYAML lets out when an explicit tag, as in `!!int x`, does not fit, or an alias is within itself.
_UNCONSTRUCTED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def parse_text(text: str) -> JSON:
    """Return what a YAML or JSON text says, as plain JSON values.

    Numbers that a float can't hold stay text. JSON is tried first: it is read ten times faster.

    Raises: ModelRefused when it is neither, names a key twice or is larger than 64 Mi characters.
    """
    if len(text) > DOCUMENT_CHARACTERS_MAX:
        raise _refused(f"found {len(text)} characters, expected at most {DOCUMENT_CHARACTERS_MAX}")
    try:
        return loads_exactly(text, _unique)  # type: ignore[no-any-return]  # JSON, by its nature
    except (ValueError, RecursionError):
        pass  # then it is YAML
    try:
        _check_levels(text)
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 -- derived from the safe loader
        return plain(document, max(ALIASED_VALUES_MAX, len(text)))  # type: ignore[no-any-return]  # JSON from here on
    except yaml.YAMLError as fault:
        raise _refused(f"neither YAML nor JSON: {fault}") from fault
    except _UNCONSTRUCTED as fault:
        raise _refused(f"holds a value that can't be read as JSON's: {fault}; put it in quotes") from fault


def _refused(reason: str) -> ModelRefused:
    return ModelRefused([Fault("model", reason)])


def _twice(path: str, keys: list[str]) -> Fault:
    repeated = sorted(key for key, count in Counter(keys).items() if count > 1)
    return Fault(path, f"{', '.join(repeated)} is written twice; keep one of them")


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ModelRefused([_twice("model", [key for key, _ in pairs])])
    return mapping


def _check_levels(text: str) -> None:
    """Refuse what is nested too deep before it is composed: libyaml's composer overflows the stack."""
    level = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
            if level > MESSAGE_LEVELS_MAX:
                raise _refused(f"nested deeper than {MESSAGE_LEVELS_MAX} levels; flatten it")
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1


def _unwritable(raw: JSON) -> str | None:
    """Return why a value would not come back from the log as it is; None where it would.

    Its types are looked at: to read 15 MB anew, and compare, takes three times as long.
    """
    try:
        encode(raw)
    except (TypeError, ValueError, RecursionError) as fault:  # too deep, half of a surrogate pair
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
                    continue  # most values are in long lists of texts
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
    """Return the well-formed parts of a model, and every fault of shape by its path."""
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
        stage = _read(Stage, item, f"stages[{name}]", faults)
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
        word = "list" if kind is list else "mapping"
        faults.append(Fault(name, f"found {type(found).__name__}, expected a {word}"))
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


# --- pieces on the model topic ---------------------------------------------------------------

_PIECE_MAPPINGS = {"fields": "fields", "stage": "stages", "table": "tables"}
_PIECE_LISTS = {
    "rate": "rates",
    "role": "roles",
    "user": "users",
    "territory": "territories",
    "target": "targets",
    "sharing": "sharing",
}


def pieces_of(raw: Mapping[str, JSON]) -> dict[PieceKey, JSON]:
    """Return the pieces of a validated document, by kind and id; the inverse of `document_of`."""
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
    for kind, name in (("role", "roles"), ("user", "users"), ("territory", "territories"), ("sharing", "sharing")):
        for item in _items(raw, name):
            pieces[kind, item["id"]] = item
    return pieces


def oversized(raw: Mapping[str, JSON]) -> Iterator[Fault]:
    """Return a fault for every piece of a validated document that no message can hold."""
    if len(encode(raw)) <= MESSAGE_BYTES_MAX:
        return
    sections = {**_PIECE_MAPPINGS, **_PIECE_LISTS}
    for (kind, name), piece in pieces_of(raw).items():
        size = len(encode(piece))
        if size > MESSAGE_BYTES_MAX:
            path = f"{sections.get(kind, kind)}[{name}]"
            yield Fault(path, f"takes {size} bytes as JSON, expected at most {MESSAGE_BYTES_MAX}; split it")


def target_id(territory: str, period: str, user: str | None) -> str:
    """Return the id of a target's piece; ids hold no colon, so it is unambiguous."""
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


def document_of(org: str, pieces: Mapping[PieceKey, JSON]) -> dict[str, JSON]:
    """Return the document that pieces came from, lists ordered by id."""
    document: dict[str, Any] = {"org": org}
    for (kind, name), value in sorted(pieces.items(), key=lambda item: item[0]):
        if kind == "organisation":
            known = {key: value[key] for key in _ORGANISATION_KEYS if key in value} if isinstance(value, dict) else {}
            document.update(known)
            if known != value:  # another writer's: an unknown key, and so a fault
                document["organisation"] = value
        elif kind == "frozen":
            document.setdefault("frozen_periods", []).append(name)
        elif kind in _PIECE_MAPPINGS:
            document.setdefault(_PIECE_MAPPINGS[kind], {})[name] = value
        elif kind in _PIECE_LISTS:
            document.setdefault(_PIECE_LISTS[kind], []).append(value)
    return document
