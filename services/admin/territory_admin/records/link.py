"""Publishes a person's decision about a record and a territory, like any other change of the record."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from territory.model.compiled import Model
from territory.wire.codec import encode
from territory.wire.events import LinkKind, Record
from territory.wire.topics import RECORDS
from territory_admin.arguments import RecordName, check_territory
from territory_admin.errors import NotFound, NotReached, Refused
from territory_admin.log.kafka_session import KafkaSession, kafka_session
from territory_admin.log.record_reader import FoundRecord, find_record, was_overtaken
from territory_admin.log.topic_reader import started
from territory_admin.models.topic import OPEN_TRANSACTION_SECONDS_MAX, read_active_model
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Linked:
    """A published decision; it takes effect when it has passed through the stages (`territory wait`)."""

    record: str
    territory_id: str
    kind: LinkKind
    link_version: int


async def link(settings: Settings, name: RecordName, territory_id: str, kind: LinkKind) -> Linked:
    """Publish a manual link, an exclusion, or the withdrawal of either (A4).

    Its version is the record's last link version plus one. When two are published at the same moment, the
    later one is published again with the next version.

    Args:
        settings: The brokers and the organisation.
        name: The record.
        territory_id: The territory.
        kind: `assign`, `exclude`, or `none` to withdraw either.

    Raises: NotFound for an unknown record, territory or model; Refused when others keep publishing links of
        the record; NotReached when an upstream's transaction does not end; KafkaError.
    """
    async with kafka_session(settings) as kafka, started(clients.producer(settings)) as producer:
        model = await read_active_model(kafka, settings.org_id)
        for _ in range(ATTEMPTS_MAX):
            found = await find_record(kafka, name.key(settings.org_id))
            if found is None or not found.record.is_live:
                state = "was deleted" if found is not None and found.record.deleted else "is not known"
                raise NotFound(f"{name} of organisation {settings.org_id!r} {state}; publish it first")
            _check_territory(model, territory_id, kind, found.record)
            version = found.record.link_version + 1
            offset = await _send(producer, found, territory_id, kind, version)
            if not await _was_overtaken(kafka, found, offset):
                return Linked(str(name), territory_id, kind, version)
    raise Refused(
        f"{name} was linked by others in each of {ATTEMPTS_MAX} attempts; see its links (territory show) and try again"
    )


async def _was_overtaken(kafka: KafkaSession, found: FoundRecord, offset: int) -> bool:
    """Whether another link came first. Raises: NotReached when an open transaction hides that for too long."""
    try:
        async with asyncio.timeout(OPEN_TRANSACTION_SECONDS_MAX):
            return await was_overtaken(kafka, found, offset)
    except TimeoutError as timeout:
        raise NotReached(
            f"a transaction on {RECORDS.name} has been open for {OPEN_TRANSACTION_SECONDS_MAX:.0f} s, so it is unknown "
            "whether another link came before this one; see the record's links when it has ended (territory show)"
        ) from timeout


def _check_territory(model: Model, territory_id: str, kind: LinkKind, record: Record) -> None:
    """Refuse a territory that the model lacks, except to withdraw a link to a removed one (A11)."""
    if kind != "none" or territory_id not in record.links:
        check_territory(model, territory_id)


async def _send(producer: AIOKafkaProducer, found: FoundRecord, territory_id: str, kind: LinkKind, version: int) -> int:
    """Publish one link to the partition of the record's state; return its offset."""
    from territory_runtime.kafka.producer import cloud_event  # noqa: PLC0415 -- it imports Redis clients

    record = found.record
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
    sent = await producer.send_and_wait(
        RECORDS.name, value, key=key, partition=found.partition, headers=cloud_event(RECORDS.name, key, value)
    )
    offset: int = sent.offset
    return offset
