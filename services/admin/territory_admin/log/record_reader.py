"""Reads one record from the topics: its whole state, its last assignment, its account family."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.errors import BadMessage
from territory.stage import Effects
from territory.wire.codec import encode
from territory.wire.events import Assignment, Record, read_assignment, read_record, read_record_change
from territory.wire.keys import (
    copy_key,
    org_of,
    parse_subscription_key,
    partition_of,
    record_key,
    upstream_partition_of,
)
from territory.wire.topics import ASSIGNMENTS, FAMILIES, RECORD_STATES, RECORDS, RELEASES, SUBSCRIPTIONS, Topic
from territory_admin.log.kafka_session import KafkaSession
from territory_admin.log.topic_reader import partitions_of, read_on
from territory_runtime.loop.decoding import decode_message

if TYPE_CHECKING:
    from assigner.assignment.family import Family
    from assigner.assignment.foreign.copies import ForeignContacts

INTAKE_GROUP = "assigner-intake"


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record with all changes that were published, including those that the assigner has yet to consume."""

    record: Record
    partition: int
    """Of crm.records.v1: where the record's state is."""
    read_to: int
    """The end of that partition when it was read."""


async def find_record(kafka: KafkaSession, key: str) -> FoundRecord | None:
    """Return a record by its key, deleted or not; None if it was never published.

    Upstreams choose partitions themselves, so all are read: first the assigner's state of the record, then
    the changes that are not in it yet, which the assigner's own fold adds.

    Raises: NotFound before the services first ran; KafkaError.
    """
    from assigner.intake.stage import IntakeFold  # noqa: PLC0415 -- only links need it

    partitions, consumer = await kafka.existing_partitions(), await kafka.consumer()
    states: dict[int, Record] = {}
    wanted = key.encode()

    def take_state(message: ConsumerRecord) -> None:
        if message.key != wanted:
            return
        state = decode_message(message, read_record).event
        if state is None:
            states.pop(message.partition, None)
        else:
            states[message.partition] = state

    await read_on(consumer, dict.fromkeys(partitions_of(RECORD_STATES, partitions), 0), take_state)
    # It is in several partitions only while states of an earlier version are sent home.
    home = max(states, key=lambda number: states[number].order, default=upstream_partition_of(key, partitions))
    fold = IntakeFold(home)
    for state in states.values():
        fold.take_state(key, state, Effects())

    def take_change(message: ConsumerRecord) -> None:
        if message.key != wanted:
            return
        with suppress(BadMessage):  # the assigner will refuse it as well
            read = read_record_change if message.topic == RECORDS.name else bytes
            fold.apply(decode_message(message, read), {}, Effects())

    starts, ends = await _pending_changes(kafka, partitions)
    await read_on(consumer, starts, take_change, ends)
    record = fold.record_state(key)
    return None if record is None else FoundRecord(record, home, ends[TopicPartition(RECORDS.name, home)])


async def _pending_changes(
    kafka: KafkaSession, partitions: int
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return the offsets between which intake's input has changes that it has yet to consume."""
    inputs = partitions_of(RECORDS, partitions) + partitions_of(RELEASES, partitions)
    committed = await kafka.committed_offsets(INTAKE_GROUP, inputs)
    ends = await (await kafka.consumer()).end_offsets(inputs)
    return {where: committed.get(where, (0, ""))[0] for where in inputs}, ends


async def was_overtaken(kafka: KafkaSession, found: FoundRecord, offset: int) -> bool:
    """Whether another link with the next version was published after the record was read and before an offset.

    A link whose version the record had already is refused, and is no obstacle. Raises: KafkaError.
    """
    where = TopicPartition(RECORDS.name, found.partition)
    wanted = found.record.key.encode()
    links: list[int] = []

    def take(message: ConsumerRecord) -> None:
        if message.key != wanted or message.value is None:
            return
        try:
            change = read_record_change(message.value)
        except BadMessage:
            return
        if change.op == "link" and change.version > found.record.link_version:
            links.append(message.offset)

    await read_on(await kafka.consumer(), {where: found.read_to}, take, {where: offset})
    return bool(links)


async def last_assignment(kafka: KafkaSession, key: str) -> Assignment | None:
    """Return the last assignment of a record; None if it has none, or was removed.

    It reads the one partition that the record's key hashes to, and decodes no other message.

    Raises: NotFound before the services first ran; KafkaError, BadMessage.
    """
    last = await _last_value(kafka, ASSIGNMENTS, key, routed_by=key)
    return None if last is None else read_assignment(last)


async def whole_record(kafka: KafkaSession, assignment: Assignment) -> Record | None:
    """Return the whole record of an assignment, as the assigner has it; None if it has moved to another family.

    It reads the one partition of its family, and decodes no other message.

    Raises: NotFound before the services first ran; KafkaError, BadMessage.
    """
    key = record_key(assignment.org_id, assignment.object, assignment.id)
    last = await _last_value(kafka, FAMILIES, key, routed_by=assignment.family)
    return None if last is None else read_record(last)


async def _last_value(kafka: KafkaSession, topic: Topic, key: str, *, routed_by: str) -> bytes | None:
    """Return the last value of a key, from the one partition of its route; None: it has none. Raises: KafkaError."""
    number = partition_of(routed_by, await kafka.existing_partitions())
    wanted = key.encode()
    last: bytes | None = None

    def take(message: ConsumerRecord) -> None:
        nonlocal last
        if message.key == wanted:
            last = message.value

    await read_on(await kafka.consumer(), {TopicPartition(topic.name, number): 0}, take)
    return last


async def read_family(kafka: KafkaSession, family_key: str) -> Family:
    """Return an account family with all its members, from the one partition that has it.

    It knows the contacts of other families that its deals name, by the copies in that partition.

    Raises: NotFound before the services first ran; KafkaError, BadMessage.
    """
    # The matchers take long to import.
    from assigner.assignment.family import Family  # noqa: PLC0415
    from assigner.assignment.foreign.copies import ForeignContacts  # noqa: PLC0415

    named = encode(family_key)
    members: dict[bytes, bytes] = {}

    def take(message: ConsumerRecord) -> None:
        if message.value is not None and named in message.value:
            members[message.key] = message.value
        else:
            members.pop(message.key, None)  # it was removed, or is in another family now

    number = partition_of(family_key, await kafka.existing_partitions())
    await read_on(await kafka.consumer(), {TopicPartition(FAMILIES.name, number): 0}, take)
    family = Family(ForeignContacts(number))
    for value in members.values():
        record = read_record(value)
        if record.family == family_key:
            family.put(record.key, record)
    if any(member.record.contact_id and family.contact_of(member.record) is None for member in family):
        await _read_copies(kafka, number, org_of(family_key), family.foreign)
    return family


async def _read_copies(kafka: KafkaSession, number: int, org_id: str, foreign: ForeignContacts | None) -> None:
    """Read the copies of an organisation's records in one partition. Raises: KafkaError, BadMessage."""
    prefix = copy_key(f"{org_id}/").encode()
    copies: dict[str, bytes | None] = {}

    def take(message: ConsumerRecord) -> None:
        if message.key is not None and message.key.startswith(prefix):
            copies[message.key.decode()] = message.value

    await read_on(await kafka.consumer(), {TopicPartition(SUBSCRIPTIONS.name, number): 0}, take)
    for key, value in copies.items():
        if value is not None and foreign is not None:
            foreign.put(parse_subscription_key(key)[0], read_record(value))
