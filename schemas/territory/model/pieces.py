"""The pieces of a model: their attributes and types, and the limits of single values.

Each piece is checked alone, so that one reading finds all faults. `checks.py` checks what the
pieces mean together.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from territory.criteria.values import FieldType
from territory.model.periods import PeriodKind, time_zones
from territory.money import amount_of

ObjectType = Literal["account", "contact", "lead", "deal"]
RuledObject = Literal["account", "lead", "deal"]
Level = Literal["read", "edit"]
Permission = Literal["read_only", "read_write_delete"]
Category = Literal["pipeline", "best_case", "committed", "won", "omitted"]

OBJECTS: tuple[ObjectType, ...] = ("account", "contact", "lead", "deal")
CURRENCY_PATTERN = r"^[A-Z]{3}$"
ORG_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"

PieceKey = tuple[str, str]
"""Kind and id of a piece: the last two parts of its key on the model topic."""

_ORG = re.compile(ORG_PATTERN)
_ID = re.compile(r"[^\s/:{}\x00-\x1f\x7f]{1,255}")


def is_org_id(text: object) -> bool:
    """Whether a value can be an organisation's id: letters, digits, dot, underscore, hyphen."""
    return isinstance(text, str) and _ORG.fullmatch(text) is not None


def _checked_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f"found {text!r}, expected 1 to 255 characters without white space, '/', ':', '{{' or '}}'")
    return text


def _exact(raw: object) -> Decimal:
    amount = amount_of(raw)
    if amount is None:
        raise ValueError(f"found {raw!r}, expected a decimal number, best written as text")
    return amount


def _time_zone(name: str) -> str:
    if name not in time_zones():
        raise ValueError(f"unknown time zone {name!r}, expected a name of the IANA database such as Europe/Berlin")
    return name


def _permission(raw: Any) -> Permission | dict[ObjectType, Permission]:
    """Return a permission for all objects, or by object (V11)."""
    by_object = isinstance(raw, dict)
    for name, word in (raw if by_object else dict.fromkeys(OBJECTS, raw)).items():
        if name not in OBJECTS:
            raise ValueError(f"found {name!r}, expected one of {', '.join(OBJECTS)}")
        if word not in _PERMISSIONS:
            where, more = (f" for {name}", "") if by_object else ("", ", or one of them by object")
            raise ValueError(f"found {word!r}{where}, expected {' or '.join(_PERMISSIONS)}{more}")
    return raw  # type: ignore[no-any-return]  # its words and objects were checked one by one


_PERMISSIONS: tuple[str, ...] = get_args(Permission)
_ONE_PERMISSION = {"enum": [*_PERMISSIONS], "type": "string"}
_PERMISSION_SCHEMA = {
    "anyOf": [
        _ONE_PERMISSION,
        {
            "type": "object",
            "properties": dict.fromkeys(OBJECTS, _ONE_PERMISSION),
            "additionalProperties": False,
            "description": "By object; read_only for the objects that it does not name.",
        },
    ]
}

Id = Annotated[str, AfterValidator(_checked_id), WithJsonSchema({"type": "string", "pattern": f"^{_ID.pattern}$"})]
_DECIMAL = WithJsonSchema({"type": ["number", "string"], "description": "An exact decimal, best written as text."})
Exact = Annotated[Decimal, BeforeValidator(_exact)]
Probability = Annotated[Exact, Field(ge=0, le=100), _DECIMAL]
ProbabilityUnit = Literal["fraction", "percent"]


class Piece(BaseModel):
    """A part of a model that is published under a key of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OrganisationSettings(Piece):
    """Settings with defaults that an organisation may change."""

    max_territories_per_record: Annotated[int, Field(ge=1)] | None = 10
    territory_access_rolls_up_roles: bool = False
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    probability: ProbabilityUnit = "fraction"
    """What the probabilities of stages and deals are: from 0 to 1, or from 0 to 100 (F1)."""


class Organisation(Piece):
    """The currency, the fiscal calendar and the settings of the whole organisation."""

    currency: Annotated[str, Field(pattern=CURRENCY_PATTERN)] = "USD"
    fiscal_year_start: Annotated[int, Field(ge=1, le=12)] = 1
    period: PeriodKind = "quarter"
    forecast_categories: dict[str, Category] = {}
    """Forecast categories of deals by the names that the CRM writes, beside those of `categories.py` (F1)."""
    settings: OrganisationSettings = OrganisationSettings()


class FieldDeclaration(Piece):
    """The type of one field of one object; rules may use declared fields only."""

    type: FieldType


class DealStage(Piece):
    """The forecast category of a deal's stage, and its probability in the unit of `settings.probability`."""

    category: Category
    probability: Probability = Decimal(0)


class Rate(Piece):
    """The value of one unit of a currency in the organisation's currency, from a period until the next rate (F10)."""

    source: Annotated[str, Field(alias="from", pattern=CURRENCY_PATTERN)]
    period: str
    rate: Annotated[Exact, Field(gt=0), _DECIMAL]


class Role(Piece):
    """A place in the role hierarchy."""

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


class Group(Piece):
    """A named set of users and roles, such as a CRM's queue: it may own records and receive shares (V6, V10)."""

    id: Id
    name: str = ""
    users: list[Id] = []
    roles: list[Id] = []


class Territory(Piece):
    """A part of the market: its place in the tree, its members and its rules."""

    id: Id
    name: str = ""
    parent: Id | None = None
    manager: Id | None = None
    users: list[Id] = []
    permission: Annotated[
        Permission | dict[ObjectType, Permission], PlainValidator(_permission), WithJsonSchema(_PERMISSION_SCHEMA)
    ] = "read_only"
    """For all objects, or by object; read_only for the objects that it does not name (V11)."""
    priority: int = 0
    rules: dict[RuledObject, Any] = {}


class SalesTarget(Piece):
    """The amount that a territory, or a user in it, should win in a period or a fiscal year (F14)."""

    territory: Id
    user: Id | None = None
    period: str
    amount: Annotated[Exact, Field(ge=0), _DECIMAL]


class Audience(Piece):
    """The users to whom a sharing rule gives access; exactly one attribute is set."""

    user: Id | None = None
    group: Id | None = None
    role: Id | None = None
    role_and_below: Id | None = None
    territory: Id | None = None
    territory_and_below: Id | None = None


class SharingRule(Piece):
    """Gives access to records beyond owners, roles and territories (V6)."""

    id: Id
    object: ObjectType
    criteria: Any
    to: Audience
    level: Level = "read"


LIST_SECTIONS: dict[str, type[Piece]] = {
    "rates": Rate,
    "roles": Role,
    "users": User,
    "groups": Group,
    "territories": Territory,
    "targets": SalesTarget,
    "sharing": SharingRule,
}
"""The sections of a document that are lists of pieces."""
