"""Publishes lines of RecordChange to crm.records.v1, each checked as the services check it."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
from aiokafka.errors import KafkaError

from territory.errors import BadMessage
from territory.stage import Message
from territory.wire.codec import decode
from territory.wire.events import RecordChange, read_record_change
from territory.wire.keys import record_key, upstream_partition_of
from territory.wire.topics import RECORDS
from territory_admin.errors import Refused
from territory_admin.log.kafka_session import kafka_session
from territory_admin.log.topic_reader import started
from territory_admin.models.topic import ModelLog, ModelTopicReader
from territory_admin.queries.unreadable import UnreadableValue
from territory_admin.records.unreadable_changes import UnreadableChanges
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings

CHUNK_LINES = 5_000
LISTED_REFUSALS_MAX = 1_000
LISTED_OWNERS_MAX = 1_000
KEY_CHARACTERS_MAX = 400
# A message has a key, headers and an envelope besides the line.
LINE_BYTES_MAX = clients.REQUEST_BYTES_MAX - 4_000

OnPublished = Callable[[int, int], None]
"""Called with how many lines and bytes were read and acknowledged so far."""


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that was not sent, and why."""

    line: int
    """Its number, from 1."""
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Published:
    """The outcome of a publish; blank lines are not counted."""

    published: int
    refused: int
    refusals: tuple[RefusedLine, ...]
    """The first thousand."""
    seconds: float
    other_organisations: dict[str, int] = field(default_factory=dict)
    """Of the published, how many are of another organisation than the settings'."""
    without_model: tuple[str, ...] = ()
    """Organisations of the published without an active model: nothing of them is assigned yet."""
    unknown_owners: dict[str, int] = field(default_factory=dict)
    """By `<org>/<owner>`, the published records whose owner is neither a user nor a group of the active model.

    The first thousand. Nobody sees a record by such an owner (V1).
    """
    unreadable: int = 0
    """Of the published, how many carry values that the active model of their organisation can't read (C6)."""
    unreadable_examples: tuple[UnreadableValue, ...] = ()
    """The first three of these values; the record is `<org>/<object>/<id>`."""


async def publish(settings: Settings, lines: Iterable[bytes], *, as_is: bool, report: OnPublished) -> Published:
    """Send every line that is a RecordChange and list the others; missing topics are created.

    Args:
        settings: The brokers.
        lines: One JSON object each, as bytes; they are sent unchanged.
        as_is: Whether to send every line unchecked, to try dead letters.
        report: Called after each chunk of lines.

    Raises: Refused when the broker fails in between; it names the first line that may be missing, and
        publishing all lines again is harmless. TopicsUnfit; KafkaError.
    """
    from territory_runtime.kafka.producer import BatchProducer  # noqa: PLC0415 -- it imports Redis clients

    started_at = time.monotonic()
    async with kafka_session(settings) as kafka:
        partitions = await kafka.provisioned_partitions()
        topic = ModelTopicReader(kafka)
        if not as_is:  # lines as they are tell the census nothing
            await topic.read_on()
    census = Census(settings.org_id, topic.log)
    published = refused = read_bytes = read_lines = 0
    refusals: list[RefusedLine] = []
    async with started(clients.producer(settings)) as producer:
        batches = BatchProducer(producer, partitions)
        for chunk in _chunks(lines):
            messages: list[Message] = []
            for number, raw in chunk:
                read_bytes += len(raw)
                line = raw.strip()
                if not line:
                    continue
                try:
                    messages.append(
                        message_as_is(line, number, settings.org_id, partitions)
                        if as_is
                        else message_of(line, partitions, census)
                    )
                except BadMessage as bad:
                    refused += 1
                    if refused <= LISTED_REFUSALS_MAX:
                        refusals.append(RefusedLine(number, bad.code, str(bad)))
            try:
                await batches.send(messages)
            except (KafkaError, ConnectionError) as fault:
                raise Refused(
                    f"the broker took the lines up to {read_lines} and then failed ({type(fault).__name__}: {fault}); "
                    "publish all lines again: the services drop versions that they have already"
                ) from fault
            published += len(messages)
            read_lines = chunk[-1][0]
            report(read_lines, read_bytes)
    seconds = round(time.monotonic() - started_at, 3)
    unreadable = census.unreadable
    return Published(
        published, refused, tuple(refusals), seconds, *census.result(), unreadable.changes, tuple(unreadable.examples)
    )


class Census:
    """Counts what the lines say about organisations, owners and values, beside the models on the log."""

    def __init__(self, org_id: str, log: ModelLog) -> None:
        """Count for a person who works with one organisation."""
        self._org_id = org_id
        self._log = log
        self._organisations: Counter[str] = Counter()
        self._owners: dict[str, frozenset[str] | None] = {}
        """By organisation, its users and groups; None without a model."""
        self._unknown: Counter[str] = Counter()
        self.unreadable = UnreadableChanges(log)

    def count(self, change: RecordChange) -> None:
        """Count one line that is sent."""
        org_id, owner_id = change.org_id, change.owner_id
        self._organisations[org_id] += 1
        self.unreadable.count(change)
        if org_id not in self._owners:
            active = self._log.activated(org_id)
            ids = None if active is None else frozenset(name for kind, name in active.pieces if kind in _OWNERS)
            self._owners[org_id] = ids
        known = self._owners[org_id]
        if known is None or not isinstance(owner_id, str) or owner_id in known:
            return
        where = f"{org_id}/{owner_id}"
        if where in self._unknown or len(self._unknown) < LISTED_OWNERS_MAX:
            self._unknown[where] += 1

    def result(self) -> tuple[dict[str, int], tuple[str, ...], dict[str, int]]:
        """Return the records of other organisations, organisations without a model, and unknown owners."""
        others = {org_id: count for org_id, count in sorted(self._organisations.items()) if org_id != self._org_id}
        without = tuple(sorted(org_id for org_id, known in self._owners.items() if known is None))
        return others, without, dict(sorted(self._unknown.items()))


_OWNERS = ("user", "group")


def message_of(line: bytes, partitions: int, census: Census | None = None) -> Message:
    """Return the message of one line, its bytes unchanged, and count it. Raises: BadMessage."""
    change = read_record_change(line)
    if census is not None:
        census.count(change)
    return _message(change.key, line, partitions)


def message_as_is(line: bytes, number: int, org_id: str, partitions: int) -> Message:
    """Return the message of an unchecked line, under the best key that can be read from it.

    Raises: BadMessage when it is too large for the topic.
    """
    if len(line) > LINE_BYTES_MAX:
        raise BadMessage("too_large", f"found {len(line)} bytes, the topic takes at most {LINE_BYTES_MAX}")
    return _message(_key_as_is(line) or record_key(org_id, "line", str(number)), line, partitions)


def _message(key: str, line: bytes, partitions: int) -> Message:
    return Message(RECORDS.name, key, msgspec.Raw(line), upstream_partition_of(key, partitions))


def _key_as_is(line: bytes) -> str | None:
    try:
        document = decode(line)
    except BadMessage:
        return None
    parts = [document.get(name) for name in ("org_id", "object", "id")] if isinstance(document, dict) else []
    texts = [part for part in parts if isinstance(part, str)]
    return record_key(*texts) if len(texts) == 3 and sum(map(len, texts)) <= KEY_CHARACTERS_MAX else None


def _chunks(lines: Iterable[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    numbered = enumerate(lines, start=1)
    while chunk := list(itertools.islice(numbered, CHUNK_LINES)):
        yield chunk
