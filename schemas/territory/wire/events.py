"""What is said on the topics. Every event carries a whole state and a version, never "add one"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import make_dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Struct
from msgspec.structs import fields
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from territory.errors import BadMessage
from territory.model.document import ORG_PATTERN, Category, ObjectType
from territory.wire.codec import MESSAGE_BYTES_MAX, decode, reader_of, reason_of
from territory.wire.keys import record_key

Operation = Literal["upsert", "patch", "delete", "link"]
LinkKind = Literal["assign", "exclude", "none"]
Cause = Literal["rule", "manual", "inherited"]
LeftOutReason = Literal["unassigned", "unknown_stage", "no_amount", "no_close_date", "missing_rate"]

RecordId = Annotated[
    str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
]
Amount = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="An exact decimal, as text.")]

FIELDS_MAX = 2_000
VERSION_MAX = 2**63 - 1


class RecordChange(BaseModel):
    """A change of one record, or of its manual links, as an upstream CRM says it.

    Topic: crm.records.v1, written by upstream CRMs. Key: `<org>/<object>/<id>`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    event_id: Annotated[str, Field(min_length=1, max_length=255, description="Unique per event.")]
    org_id: Annotated[str, Field(pattern=f"^{ORG_PATTERN}$", description="The organisation.")]
    object: ObjectType
    id: RecordId
    version: Annotated[
        int,
        Field(
            ge=1, le=VERSION_MAX, description="Grows with each change of the record; links have a count of their own."
        ),
    ]
    op: Operation
    occurred_at: Annotated[str, Field(max_length=64, description="RFC 3339, when it happened upstream.")]
    owner_id: RecordId | None = None
    account_id: RecordId | None = None
    contact_id: RecordId | None = None
    fields: Annotated[dict[str, Any], Field(max_length=FIELDS_MAX)] = {}
    territory_id: Annotated[RecordId | None, Field(description="For op link.")] = None
    kind: Annotated[LinkKind | None, Field(description="For op link.")] = None

    @property
    def key(self) -> str:
        """The record's key."""
        return record_key(self.org_id, self.object, self.id)


_CODES = {
    "object": "unknown_object",
    "op": "unknown_op",
    "org_id": "missing_id",
    "id": "missing_id",
    "version": "bad_version",
}


def read_record_change(raw: bytes) -> RecordChange:
    """Return the change that some bytes carry.

    Raises: BadMessage (not_json, too_large, unknown_object, unknown_op, missing_id,
    bad_version, wrong_type).
    """
    document = decode(raw, MESSAGE_BYTES_MAX)
    if not isinstance(document, dict):
        raise BadMessage("wrong_type", f"found a JSON {type(document).__name__}, expected an object")
    try:
        change = RecordChange.model_validate(document)
    except ValidationError as invalid:
        first = str(invalid.errors(include_url=False)[0]["loc"][0])
        raise BadMessage(_CODES.get(first, "wrong_type"), reason_of(invalid)) from invalid
    if change.op == "link" and (change.territory_id is None or change.kind is None):
        raise BadMessage("wrong_type", "op link: expected territory_id and kind (assign, exclude or none)")
    return change


class Event(Struct, frozen=True, gc=False):
    """What our own services say, and the parts of it: values, made and read by the million.

    They hold what JSON can hold, so nothing in them leads back to them: the collector of cycles need not know of them.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Describe an event as the dataclass of the same attributes, which pydantic knows how to."""
        attributes: list[Any] = [
            (field.name, field.type) if field.required else (field.name, field.type, field.default)
            for field in fields(cls)
        ]
        return handler.generate_schema(make_dataclass(cls.__name__, attributes, namespace={"__doc__": cls.__doc__}))


class Record(Event, frozen=True):
    """The whole state of one record after intake, its manual links included.

    Topics: territory.internal.records.v1 (intake's state, same partition as the input) and
    territory.internal.families.v1 (partitioned by family), written by the assigner.
    A deleted record stays in the first as a mark of its last version (A4).
    """

    org_id: str
    object: ObjectType
    id: str
    version: Annotated[int, Field(description="0 while only links of the record are known.")]
    link_version: int
    deleted: bool
    owner_id: str | None
    account_id: str | None
    contact_id: str | None
    fields: dict[str, Any]
    links: Annotated[dict[str, LinkKind], Field(description="By territory: assign or exclude.")]
    family: str
    intake_partition: Annotated[
        int, Field(description="Where the upstream's partitioner put the record; its releases go back there.")
    ]
    event_id: str
    since_ms: Annotated[
        int,
        Field(description="When the last change happened, in ms of the epoch: what latencies are measured from."),
    ]
    refused: Annotated[
        tuple[int, ...],
        Field(description="Offsets of what was refused in the turn of the last change: a repeat is refused, too."),
    ] = ()

    @property
    def key(self) -> str:
        """The record's key."""
        return record_key(self.org_id, self.object, self.id)

    @property
    def order(self) -> tuple[int, int]:
        """What grows with every change of the record or of its links."""
        return (self.version, self.link_version)


read_record = reader_of(Record)


class Released(Event, frozen=True):
    """A family has let go of a record that moved away or was deleted.

    Topic: territory.internal.releases.v1, written by the assigner's second stage for its
    first, which then forwards the record once more to the family that it is in: so the last
    assignment on the log is always that family's.
    """

    org_id: str
    object: ObjectType
    id: str
    again: Annotated[
        bool, Field(description="Whether this answers a tombstone that answered a release: the end of the matter.")
    ]

    @property
    def key(self) -> str:
        """The record's key."""
        return record_key(self.org_id, self.object, self.id)


class Link(Event, frozen=True):
    """A record is in a territory, and why (A10)."""

    territory_id: str
    causes: Annotated[tuple[Cause, ...], Field(description="One or more; a pair can be linked by rule and by hand.")]
    why: Annotated[
        tuple[str, ...],
        Field(
            description="For a rule the leaves that held, ancestors' included, as `territory: leaf`; else a sentence."
        ),
    ]


class DealFacts(Event, frozen=True):
    """What a forecast needs to know of a deal, as the upstream said it."""

    amount: Any = None
    currency: Any = None
    stage: Any = None
    close_date: Any = None
    created_at: Any = None
    probability: Any = None
    forecast_category: Any = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> DealFacts:
        """Return the facts among a deal's fields."""
        return cls(*map(fields.get, cls.__struct_fields__))


class Assignment(Event, frozen=True):
    """Where a record stands: its owner, its territories and why.

    Topic: territory.assignments.v1, written by the assigner; null when the record is gone.
    Key: `<org>/<object>/<id>`, and partitioned by it.
    """

    org_id: str
    object: ObjectType
    id: str
    version: Annotated[int, Field(ge=1, description="Version of the record that this was decided from.")]
    model_revision: Annotated[int, Field(ge=1, description="Revision of the model that this was decided from.")]
    owner_id: str | None
    links: Annotated[tuple[Link, ...], Field(description="In the order of A3; at most one for a deal.")]
    cut: Annotated[tuple[str, ...], Field(description="Territories over max_territories_per_record (A3).")] = ()
    runners_up: Annotated[tuple[str, ...], Field(description="A deal's candidates that were not chosen (A6).")] = ()
    dropped: Annotated[
        tuple[str, ...], Field(description="Manual links to territories that are not in the model (A11).")
    ] = ()
    unassigned: Annotated[str | None, Field(description="Why there is no link, for a deal.")] = None
    deal: DealFacts | None = None
    family: str = ""
    event_id: Annotated[str, Field(description="The event that this follows from.")] = ""
    since_ms: Annotated[int, Field(description="When that happened; 0 for a change of the model.")] = 0
    shared: Annotated[
        tuple[str, ...],
        Field(
            description="Marks of the sharing rules whose criteria hold for the record, sorted (V6): `<rule>#<digest "
            "of the criteria>`. A mark that a model does not have means nothing under it."
        ),
    ] = ()

    @property
    def key(self) -> str:
        """The record's key."""
        return record_key(self.org_id, self.object, self.id)

    @property
    def territories(self) -> tuple[str, ...]:
        """The linked territories, in order."""
        return tuple(link.territory_id for link in self.links)


read_assignment = reader_of(Assignment)

SUMS = ("won", "pipeline", "best_case", "committed", "weighted", "won_by_others")


class Counted(Event, frozen=True):
    """What one deal counts for in one period."""

    path: Annotated[tuple[str, ...], Field(description="The deal's territory and those above it.")]
    category: Category
    amount: Decimal
    weighted: Decimal
    owner_id: str | None
    by_others: bool


class FrozenTarget(Event, frozen=True):
    """What was wanted of a territory, or of a user in one, when the period was closed."""

    territory_id: str
    period: str
    user_id: str | None
    amount: Decimal
    mismatch: Decimal | None


class Frozen(Event, frozen=True):
    """What one partition keeps of closed periods (F12): of a deal, of a target, or which periods these are.

    Topic: territory.internal.frozen.v1, written by the forecast aggregator for itself, in the
    partition of the deals; null when nothing of it is in a closed period. What is there of a
    period means something only while `periods` names it.
    """

    org_id: str
    deal_id: str | None = None
    counted: Annotated[
        dict[str, Counted] | None, Field(description="By period, what the deal counted for when that was closed.")
    ] = None
    target: FrozenTarget | None = None
    periods: Annotated[
        tuple[str, ...] | None, Field(description="The closed periods of which all deals and targets are said.")
    ] = None
    since: Annotated[
        dict[str, int] | None,
        Field(description="By closed period, the model's revision since which it is closed; 0: not known."),
    ] = None


read_frozen = reader_of(Frozen)


class FrozenPart(Event, frozen=True):
    """What one partition of deals added to one attainment when its period was closed."""

    sums: dict[str, Decimal]
    deals_won: int
    target: Decimal | None
    target_mismatch: Decimal | None


class Partial(Event, frozen=True):
    """What one partition of deals adds to one attainment: absolute, so that repeats are harmless.

    Topic: territory.internal.partials.v1, written by the forecast aggregator for itself;
    null when the partition adds nothing any more.
    """

    org_id: str
    territory_id: str
    period: str
    user_id: str | None
    source: Annotated[int, Field(description="The partition of territory.assignments.v1 that it was summed from.")]
    model_revision: int
    target: Annotated[Decimal | None, Field(description="Said by one partition only, the attainment's home.")]
    sums: dict[str, Decimal]
    deals: Annotated[int, Field(description="How many deals are in any of the sums.")]
    deals_won: int
    target_mismatch: Annotated[
        Decimal | None, Field(description="Said with a territory's target: what it is above those below (F5).")
    ] = None
    frozen: Annotated[
        FrozenPart | None, Field(description="What all of it was when the period was closed; null: it is open (F12).")
    ] = None


class SourceSwept(Event, frozen=True):
    """A source begins to say all it has, or has done so; what it said before and not since is then void.

    Topic: territory.internal.partials.v1, sent to every partition.
    """

    org_id: str
    source: int
    ended: bool


_read_partial, _read_swept = reader_of(Partial), reader_of(SourceSwept)


def read_partial(raw: bytes) -> Partial | SourceSwept:
    """Return what a source says on the topic of the partials.

    Raises: BadMessage (not_json, wrong_type).
    """
    said: Partial | SourceSwept = _read_partial(raw) if b'"sums"' in raw else _read_swept(raw)
    return said


class Attainment(Event, frozen=True):
    """How a territory, or a user in a territory, stands in a period (F1 to F7).

    Topic: territory.attainments.v1, written by the forecast aggregator; null when it is gone.
    Key: `<org>/<territory>/<period>[/<user>]`. Amounts are in the organisation's currency;
    null where there is no target.
    """

    org_id: str
    territory_id: str
    period: str
    user_id: str | None
    model_revision: int
    target: Amount | None
    won: Amount
    pipeline: Amount
    best_case: Amount
    committed: Amount
    weighted: Amount
    won_by_others: Amount
    deals_won: int
    attainment_pct: Annotated[str | None, Field(description="Two decimals; null: no target (F6).")]
    gap: Amount | None
    shortage: Amount | None
    coverage: Annotated[
        str | None, Field(description="Pipeline / gap, two decimals; null: there is no gap, or no target (F7).")
    ] = None
    target_mismatch: Annotated[
        Amount | None,
        Field(
            description="A territory's target less those of its children and of users in it; 0: they agree; "
            "null: no target (F5)."
        ),
    ] = None
    star_performer: Annotated[bool, Field(description="Whether there is a target, and as much was won (F8).")] = False
    frozen: Annotated[bool, Field(description="Whether the period is closed: the figures are those of then (F12).")] = (
        False
    )
    adjustment_target: Annotated[
        Amount | None,
        Field(description="What the target would be now less what it was; null, like the other seven: not closed."),
    ] = None
    adjustment_won: Amount | None = None
    adjustment_pipeline: Amount | None = None
    adjustment_best_case: Amount | None = None
    adjustment_committed: Amount | None = None
    adjustment_weighted: Amount | None = None
    adjustment_won_by_others: Amount | None = None
    adjustment_deals_won: int | None = None


read_attainment = reader_of(Attainment)


class AccessChange(Event, frozen=True):
    """What one user may do with some records of one object from now on: each is in one of the three lists.

    Topic: territory.access-changes.v1, written by the access indexer while Redis is, before or after; key
    `<org>/<user>`. What is said of a user and a record is said in order; it can be said again.
    Administrators see everything and hear of nothing.
    """

    org_id: str
    user_id: str
    source: Annotated[int, Field(description="The partition of territory.assignments.v1 that the records are in.")]
    object: ObjectType
    revoked: Annotated[tuple[str, ...], Field(description="Ids of records that the user sees no more.")] = ()
    edit: Annotated[tuple[str, ...], Field(description="Ids of records that the user may read and edit.")] = ()
    read: Annotated[tuple[str, ...], Field(description="Ids of records that the user may read only.")] = ()


class AccessForgotten(Event, frozen=True):
    """All that a source has said of an organisation in this partition is void; what is still true is said again.

    Topic: territory.access-changes.v1, once in every partition; key `<org>/`. It comes where the indexer
    can't know any more what it has said: after Redis was lost, or a model was applied while
    nobody was there.
    """

    org_id: str
    source: int


_read_change, _read_forgotten = reader_of(AccessChange), reader_of(AccessForgotten)


def read_access_change(raw: bytes) -> AccessChange | AccessForgotten:
    """Return what the indexer says to those who follow it.

    Raises: BadMessage (not_json, wrong_type).
    """
    said: AccessChange | AccessForgotten = _read_change(raw) if b'"user_id"' in raw else _read_forgotten(raw)
    return said


class ModelPiece(Event, frozen=True):
    """One piece of a model; it means nothing before the activation that follows it.

    Topic: territory.model.v1, written by `territory apply` in one transaction with its
    activation; null when the piece is removed. Key: `<org>/<kind>/<id>`.
    """

    org_id: str
    kind: str
    id: str
    revision: int
    value: Any


class ModelActivated(Event, frozen=True):
    """From here on the organisation's pieces are one model, of this revision.

    Topic: territory.model.v1. Key: `<org>/activation/model`.
    """

    org_id: str
    revision: Annotated[int, Field(ge=1)]
    pieces: Annotated[int, Field(ge=0, description="How many pieces the model has.")]
    digest: Annotated[str, Field(description="SHA-256 over the pieces in key order.")]
    activated_at: Annotated[str, Field(description="RFC 3339.")]


ACTIVATION = ("activation", "model")
"""Kind and id in the key of an activation."""

OPEN_CATEGORIES: tuple[Category, ...] = ("pipeline", "best_case", "committed")
