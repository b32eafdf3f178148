"""A person's decision about one record and one territory, published like any other change."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from territory.model.compiled import Model
from territory.wire.codec import encode
from territory.wire.events import LinkKind, Record
from territory.wire.topics import RECORDS
from territory_admin.arguments import RecordName, check_territory
from territory_admin.errors import NotFound, Refused
from territory_admin.log.record_reader import find_record, was_overtaken
from territory_admin.log.topic_reader import existing_partitions, started
from territory_admin.models.topic import active_model
from territory_runtime.kafka import clients
from territory_runtime.kafka.producer import cloud_event
from territory_runtime.settings import Settings

ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Linked:
    """A decision that was published; it is in effect when it has come through (`territory wait`)."""

    record: str
    territory_id: str
    kind: LinkKind
    link_version: int


async def link(settings: Settings, name: RecordName, territory_id: str, kind: LinkKind) -> Linked:
    """Publish a manual link, an exclusion, or that there is neither any more (A4).

    Its version is the record's last link version plus one; of two that were published at the same
    moment the later one is published again.

    Raises: NotFound for an unknown record, territory or model; Refused; KafkaError.
    """
    partitions = await existing_partitions(settings)
    model = await active_model(settings, settings.org_id)
    for _ in range(ATTEMPTS_MAX):
        found = await find_record(settings, partitions, name.key(settings.org_id))
        if found is None or found.record.deleted or not found.record.version:
            state = "was deleted" if found is not None and found.record.deleted else "is not known"
            raise NotFound(f"{name} of organisation {settings.org_id!r} {state}; publish it first")
        _check_territory(model, territory_id, kind, found.record)
        version = found.record.link_version + 1
        offset = await _send(settings, found.record, territory_id, kind, version)
        if not await was_overtaken(settings, found, offset):
            return Linked(str(name), territory_id, kind, version)
    raise Refused(f"other links of {name} came in between {ATTEMPTS_MAX} times; look at it and try again")


def _check_territory(model: Model, territory_id: str, kind: LinkKind, record: Record) -> None:
    """Refuse a territory that the model lacks, but let a link to one that is gone be taken back (A11)."""
    if kind != "none" or territory_id not in record.links:
        check_territory(model, territory_id)


async def _send(settings: Settings, record: Record, territory_id: str, kind: LinkKind, version: int) -> int:
    """Publish one link beside the record's other changes; return its offset."""
    change = {
        "event_id": str(uuid.uuid4()),
        "org_id": record.org_id,
        "object": record.object,
        "id": record.id,
        "version": version,
        "op": "link",
        "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "territory_id": territory_id,
        "kind": kind,
    }
    key, value = record.key.encode(), encode(change)
    async with started(clients.producer(settings)) as producer:
        sent = await producer.send_and_wait(
            RECORDS.name,
            value,
            key=key,
            partition=record.intake_partition,
            headers=cloud_event(RECORDS.name, key, value),
        )
    offset: int = sent.offset
    return offset
