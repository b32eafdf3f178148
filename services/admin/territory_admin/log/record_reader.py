"""One record as the log has it: its whole state, its last assignment, its family."""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from assigner.assignment.family import Family
from assigner.intake.stage import IntakeFold
from territory.errors import BadMessage
from territory.stage import Effects
from territory.wire.codec import encode
from territory.wire.events import Assignment, Record, read_assignment, read_record, read_record_change
from territory.wire.keys import partition_of
from territory.wire.topics import ASSIGNMENTS, FAMILIES, RECORD_STATES, RECORDS
from territory_admin.log.topic_reader import committed_offsets, partitions_of, read_messages, started
from territory_runtime.kafka import clients
from territory_runtime.loop.decoding import decode_message
from territory_runtime.settings import Settings

INTAKE_GROUP = "assigner-intake"


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record with everything that was published of it, also what the assigner has yet to take."""

    record: Record
    read_to: int
    """The end of its partition of crm.records.v1 when it was looked at."""


async def find_record(settings: Settings, partitions: int, key: str) -> FoundRecord | None:
    """Return a record by its key, deleted or not; None when nobody published it.

    Upstreams choose their partitions themselves, so all are read: the assigner's state of the
    record, and then, through the assigner's own fold, the changes that are not in it yet.

    Raises: KafkaError.
    """
    folds = {number: IntakeFold(number) for number in range(partitions)}
    last: dict[int, Record] = {}
    wanted = key.encode()

    def take_state(message: ConsumerRecord) -> None:
        if message.key == wanted:
            incoming = decode_message(message, read_record)
            folds[message.partition].restore(incoming)
            last[message.partition] = incoming.event

    def take_change(message: ConsumerRecord) -> None:
        if message.key != wanted:
            return
        effects = Effects()
        try:
            folds[message.partition].apply(decode_message(message, read_record_change), {}, effects)
        except BadMessage:
            return  # the assigner will bury it
        for state in effects.state:
            last[message.partition] = state.value  # type: ignore[assignment]  # intake's state is records

    await read_messages(settings, dict.fromkeys(partitions_of(RECORD_STATES, partitions), 0), take_state)
    starts, ends = await _pending_changes(settings, partitions)
    await read_messages(settings, starts, take_change, ends)
    if not last:
        return None
    # In more than one partition only when an upstream has changed its partitioner.
    record = max(last.values(), key=lambda record: record.order)
    return FoundRecord(record, ends[TopicPartition(RECORDS.name, record.intake_partition)])


async def _pending_changes(
    settings: Settings, partitions: int
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return from where to where crm.records.v1 has changes that the assigner did not take yet."""
    places = partitions_of(RECORDS, partitions)
    async with started(clients.group_admin(settings)) as admin, started(clients.reader(settings)) as reader:
        committed = await committed_offsets(admin, INTAKE_GROUP, places)
        ends = await reader.end_offsets(places)
    return {where: committed.get(where, (0, ""))[0] for where in places}, ends


async def was_overtaken(settings: Settings, found: FoundRecord, offset: int) -> bool:
    """Whether another link of the same record came between looking at it and our own at an offset."""
    where = TopicPartition(RECORDS.name, found.record.intake_partition)
    wanted = found.record.key.encode()
    links: list[int] = []

    def take(message: ConsumerRecord) -> None:
        if message.key != wanted or message.value is None:
            return
        try:
            change = read_record_change(message.value)
        except BadMessage:
            return
        if change.op == "link":
            links.append(message.offset)

    await read_messages(settings, {where: found.read_to}, take, {where: offset})
    return bool(links)


async def last_assignment(settings: Settings, partitions: int, key: str) -> Assignment | None:
    """Return what was said last of a record; None when nothing was, or it is gone. Raises: KafkaError, BadMessage."""
    wanted = key.encode()
    values: list[bytes | None] = [None]

    def take(message: ConsumerRecord) -> None:
        if message.key == wanted:
            values[0] = message.value

    await read_messages(settings, {TopicPartition(ASSIGNMENTS.name, partition_of(key, partitions)): 0}, take)
    return None if values[0] is None else read_assignment(values[0])


async def family_of(settings: Settings, partitions: int, family_key: str) -> Family:
    """Return an account family with its members as they are on the log. Raises: KafkaError, BadMessage."""
    named = encode(family_key)
    members: dict[bytes, bytes] = {}

    def take(message: ConsumerRecord) -> None:
        if message.value is not None and named in message.value:
            members[message.key] = message.value
        else:
            members.pop(message.key, None)  # it is gone, or in another family now

    await read_messages(settings, {TopicPartition(FAMILIES.name, partition_of(family_key, partitions)): 0}, take)
    family = Family()
    for value in members.values():
        record = read_record(value)
        if record.family == family_key:
            family.put(record.key, record)
    return family
