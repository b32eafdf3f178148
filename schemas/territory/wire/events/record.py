"""Records on their way from the CRM to the assigner: changes, states and releases."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from territory.errors import BadMessage
from territory.model.pieces import ORG_PATTERN, ObjectType
from territory.wire.codec import MESSAGE_BYTES_MAX, decode, reader_of, reason_of
from territory.wire.events.event import Event
from territory.wire.keys import record_key

Operation = Literal["upsert", "patch", "delete", "link"]
LinkKind = Literal["assign", "exclude", "none"]

RecordId = Annotated[
    str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
]


def _blank_as_null(raw: object) -> object:
    return None if isinstance(raw, str) and not raw.strip() else raw


Reference = Annotated[
    RecordId | None,
    BeforeValidator(_blank_as_null),
    WithJsonSchema({
        "anyOf": [{"type": "string", "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f]*$"}, {"type": "null"}],
        "description": "Empty or blank: null.",
    }),
]  # fmt: skip
"""The id of another record or of a user, if there is one (A13)."""

FIELDS_MAX = 2_000
VERSION_MAX = 2**63 - 1


class RecordChange(BaseModel):
    """A change of one record, or of its manual links, as the upstream CRM publishes it.

    Topic: crm.records.v1, written by upstream CRMs. Key: `<org>/<object>/<id>`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    event_id: Annotated[str, Field(min_length=1, max_length=255, description="Unique for each event.")]
    org_id: Annotated[str, Field(pattern=f"^{ORG_PATTERN}$", description="The organisation.")]
    object: ObjectType
    id: RecordId
    version: Annotated[
        int,
        Field(
            ge=1,
            le=VERSION_MAX,
            description="Grows with each change of the record. Manual links have a version sequence of their own.",
        ),
    ]
    op: Operation
    occurred_at: Annotated[
        str | int,
        Field(
            description="When it happened upstream, RFC 3339. If it can't be read, the broker's time counts, and it is "
            "reported."
        ),
    ]
    owner_id: Reference = None
    account_id: Reference = None
    contact_id: Reference = None
    fields: Annotated[dict[str, Any], Field(max_length=FIELDS_MAX)] = {}
    territory_id: Annotated[RecordId | None, Field(description="Required for op link.")] = None
    kind: Annotated[LinkKind | None, Field(description="Required for op link.")] = None

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
    """Decode and validate a change from an upstream CRM.

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


class WaitingPatch(Event, frozen=True):
    """A patch that came before its record, as it was sent: it waits for the record, or becomes a dead letter (A13)."""

    version: int
    event_id: str
    value: Annotated[bytes, Field(description="The message's bytes, in Base64.")]
    headers: Annotated[
        tuple[tuple[str, bytes], ...], Field(description="The message's headers: names, and values in Base64.")
    ]
    partition: Annotated[int, Field(description="Where it arrived on crm.records.v1.")]
    offset: int
    broker_ms: Annotated[int, Field(description="The broker's time of it, in ms of the epoch.")]


class Record(Event, frozen=True, omit_defaults=True):
    """The whole state of one record after intake, including its manual links.

    Topics: territory.internal.records.v1 (intake's state, in the partition of the input) and
    territory.internal.families.v1 (partitioned by family), both written by the assigner. On
    territory.internal.subscriptions.v1 a contact has no fields; version 0 is a record that is not known.
    Intake keeps a deleted record so that its last version is remembered (A4).
    """

    org_id: str
    object: ObjectType
    id: str
    version: Annotated[int, Field(description="0 while only manual links of the record have arrived.")]
    link_version: int
    deleted: bool
    owner_id: str | None
    account_id: str | None
    contact_id: str | None
    fields: dict[str, Any]
    links: Annotated[dict[str, LinkKind], Field(description="Manual links by territory: assign or exclude.")]
    family: str
    intake_partition: Annotated[
        int, Field(description="The partition of crm.records.v1 that the record is in; releases return to it.")
    ]
    event_id: str
    since_ms: Annotated[
        int, Field(description="When the last change happened, in ms of the epoch; latency is measured from it.")
    ]
    refused: Annotated[
        tuple[int, ...],
        Field(
            description="Offsets of messages refused in the batch of the last change, -2 less the offset for those "
            "of releases; they are refused again when the batch is repeated."
        ),
    ] = ()
    located: Annotated[
        bool,
        Field(description="For a contact: whether intake has published it on territory.internal.subscriptions.v1."),
    ] = False
    source_partition: Annotated[
        int, Field(description="Where the last accepted change arrived on crm.records.v1; -1: not known.")
    ] = -1
    source_offset: Annotated[
        int, Field(description="Its offset there: a change with the same version before it is a repeat (A13).")
    ] = -1
    seen: Annotated[
        tuple[str, ...],
        Field(description="Ids of earlier events with the present version, the last of them; a repeat is stale (A13)."),
    ] = ()
    seen_links: Annotated[
        tuple[str, ...], Field(description="Ids of events with the present link version, the last of them (A13).")
    ] = ()
    waiting: Annotated[
        tuple[WaitingPatch, ...], Field(description="Patches that wait for the record, in order of arrival (A13).")
    ] = ()
    unreadable_occurred_at: Annotated[
        str | None, Field(description="`occurred_at` of the last change where it can't be read; the broker's counts.")
    ] = None

    @property
    def key(self) -> str:
        """The record's key."""
        return record_key(self.org_id, self.object, self.id)

    @property
    def order(self) -> tuple[int, int]:
        """Grows with every change of the record or of its manual links."""
        return (self.version, self.link_version)

    @property
    def is_live(self) -> bool:
        """Whether the record is there: it is not deleted, and not only links or patches of it have come (A4)."""
        return self.version > 0 and not self.deleted


read_record = reader_of(Record)


class Released(Event, frozen=True):
    """Reports that a family no longer decides a record, which moved away or was deleted.

    Topic: territory.internal.releases.v1, written by the assigner's second stage for its first.
    The first stage then forwards the record to its present family once more, so the last
    assignment on the log always comes from that family.
    """

    org_id: str
    object: ObjectType
    id: str
    again: Annotated[
        bool, Field(description="True if it answers a tombstone that itself answered a release; no reply follows.")
    ]

    @property
    def key(self) -> str:
        """The record's key."""
        return record_key(self.org_id, self.object, self.id)


read_released = reader_of(Released)


class Subscription(Event, frozen=True):
    """Asks for copies of a contact or an account, now and at each change, for the deals of one partition (A6).

    Topic: territory.internal.subscriptions.v1, written by the assigner's second stage for itself, in the partition of
    the record's key; null ends it.
    """

    org_id: str
    object: ObjectType
    id: str
    subscriber: Annotated[int, Field(description="The partition whose deals need the record.")]


_read_subscription = reader_of(Subscription)


def read_subscribed(raw: bytes) -> Record | Subscription:
    """Decode either kind of event on territory.internal.subscriptions.v1.

    Raises: BadMessage (not_json, wrong_type).
    """
    event: Record | Subscription = read_record(raw) if b'"intake_partition"' in raw else _read_subscription(raw)
    return event
