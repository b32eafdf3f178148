"""Compares the end state with what the log implies, and collects what is known about the first difference.

The input is read from crm.records.v1 itself: a publisher that lost an answer cannot know what the broker has.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import redis
from aiokafka.structs import ConsumerRecord

from territory.wire.keys import attainment_key, index_key, record_key
from territory.wire.topics import (
    ASSIGNMENTS,
    ATTAINMENTS,
    DEAD_LETTERS,
    FAMILIES,
    PARTIALS,
    RECORD_STATES,
    RECORDS,
    RELEASES,
    Topic,
)
from territory_admin.log.topic_reader import POLL_SECONDS, committed_offsets, partitions_of, read_messages, started
from territory_runtime.kafka import clients
from territory_runtime.kafka.dead_letters import PREFIX
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.partition_task import PROCESSING_ERROR
from tests.chaos.publishers import KIND_HEADER, Applied
from tests.support.house import FOLLOWED, Difference, House, differences
from tests.support.oracle import Expected, Record, expected, key_of, record_after
from tests.support.oracle_records import is_passed

DAYS_STAGE = "assigner-assignment"
DAY_SECONDS_MAX = 60.0
TOLD_MAX = 8
SHOWN_CHARACTERS_MAX = 400

Offset = tuple[int, int]
"""Partition and offset on crm.records.v1."""


@dataclass
class Log:
    """The input: changes by partition in their order, what must be refused, and what was."""

    history: list[dict[str, Any]] = field(default_factory=list)
    to_refuse: dict[Offset, str] = field(default_factory=dict)
    refused: dict[Offset, str] = field(default_factory=dict)
    refused_within: list[str] = field(default_factory=list)
    """Dead letters of our own topics, which hold nothing to refuse."""


def final_day(days: int) -> date:
    """Return today's date for clocks that are off by some days."""
    return (datetime.now(UTC) + timedelta(days=days)).date()


async def day_has_come(house: House, days: int) -> list[str]:
    """Wait until all partitions are swept for the clocks' day; return those that are not in the end."""
    places = partitions_of(FAMILIES, house.settings.kafka_partitions)
    deadline = time.monotonic() + DAY_SECONDS_MAX
    async with started(clients.group_admin(house.settings)) as admin:
        while True:
            offsets = await committed_offsets(admin, DAYS_STAGE, places)
            notes = {
                where: CommitMetadata.read(offsets[where][1]) if where in offsets else CommitMetadata()
                for where in places
            }
            behind = {where: note for where, note in notes.items() if _day_of(note) != final_day(days)}
            if not behind:
                return []
            if time.monotonic() > deadline:
                return [f"{where} is not swept for the day: {note}" for where, note in behind.items()]
            await asyncio.sleep(POLL_SECONDS)


def _day_of(note: CommitMetadata) -> date | None:
    if note.applied.instant is None or note.applied.instant != note.target.instant:
        return None
    return datetime.fromtimestamp(note.applied.instant, UTC).date()


async def read_log(house: House) -> Log:
    """Return the input, and what was refused of it."""
    log = Log()
    known: dict[str, Record] = {}

    def take(message: ConsumerRecord) -> None:
        where = (message.partition, message.offset)
        headers = {name: value.decode() for name, value in message.headers}
        if message.topic == DEAD_LETTERS.name:
            topic, partition, offset, code, why = (
                headers[f"{PREFIX}{name}"] for name in ("topic", "partition", "offset", "code", "message")
            )
            if topic == RECORDS.name:
                log.refused[int(partition), int(offset)] = code
            else:
                log.refused_within.append(f"dead letter of {topic} {partition}@{offset}: {code}: {why}")
        elif headers[KIND_HEADER] == "raises":
            log.to_refuse[where] = PROCESSING_ERROR
        elif headers[KIND_HEADER] == "change":
            change = json.loads(message.value)
            log.history.append(change)
            if _is_refused(known, change):
                log.to_refuse[where] = f"{change['op']} of what is not there"
        elif message.value is not None:  # a tombstone is ignored, and no dead letter (A13)
            log.to_refuse[where] = "poison"

    for topic in (RECORDS, DEAD_LETTERS):
        places = partitions_of(topic, house.settings.kafka_partitions)
        await read_messages(house.settings, dict.fromkeys(places, 0), take)
    return log


def _is_refused(known: dict[str, Record], change: Mapping[str, Any]) -> bool:
    """Return whether a change must be refused: a link of a deleted record, and no late copy; remember the record.

    A patch of what is not there waits for an hour, which is longer than a run.
    """
    key = key_of(change["org_id"], change["object"], change["id"])
    before = known.get(key, Record(change["org_id"], change["object"], change["id"]))
    known[key] = record_after(before, change)
    is_deleted = before.version > 0 and not before.alive
    return change["op"] == "link" and is_deleted and not is_passed(change, before.link_version, before.link_events)


def judge(house: House, models: Mapping[str, Applied], days: int, began: float) -> list[str]:
    """Return all differences; for the first one, everything the topics hold about it.

    Args:
        house: The running system, idle by now.
        models: The last model of each organisation.
        days: By how much all clocks are off.
        began: The beginning of the run, in Unix time.
    """
    log = asyncio.run(read_log(house))
    today = final_day(days)
    wanted = expected({org: {**applied.model, "today": today} for org, applied in models.items()}, log.history)
    lines = [
        *_unlike("dead letter", log.refused, log.to_refuse),
        *_unexpected_exceptions(log),
        *log.refused_within[:TOLD_MAX],
        *_of_revisions(house, models),
    ]
    first: tuple[str, Difference] | None = None
    found = house.found_of(models)
    for org, state in found.items():
        unlike = differences(state, org, wanted)
        first = first or ((org, unlike[0]) if unlike else None)
        lines += [f"{org}: {_shown(difference)}" for difference in unlike[:TOLD_MAX]]
        lines += [f"{org}: {len(unlike)} differences in all"] if unlike else []
    if first is not None:
        org, difference = first
        lines += asyncio.run(_explanation(house, org, difference, wanted, began))
    return lines


def _shown(difference: Difference) -> str:
    if difference.where.removeprefix(FOLLOWED) not in ("visible", "editable", "admins"):
        return str(difference)[: 2 * SHOWN_CHARACTERS_MAX]
    found, wanted = difference.found or set(), difference.wanted or set()
    more, less = (", ".join(sorted(ids)[:TOLD_MAX]) or "none" for ids in (found - wanted, wanted - found))
    numbers = f"{len(found)} of {len(wanted)}"
    return f"{difference.where} {difference.key}: {numbers}; not the oracle's: {more}; missing: {less}"


def _unlike(what: str, found: Mapping[Any, str], wanted: Mapping[Any, str]) -> list[str]:
    lines = [f"{what} {where} is missing: {why}" for where, why in sorted(wanted.items()) if where not in found]
    lines += [f"{what} {where} is of no fault: {why}" for where, why in sorted(found.items()) if where not in wanted]
    return lines[:TOLD_MAX]


def _unexpected_exceptions(log: Log) -> list[str]:
    """Return dead letters whose code and kind of message differ in whether a fold has raised."""
    lines = [
        f"dead letter {where}: found code {log.refused[where]}, of {why}"
        for where, why in sorted(log.to_refuse.items())
        if where in log.refused and (log.refused[where] == PROCESSING_ERROR) != (why == PROCESSING_ERROR)
    ]
    return lines[:TOLD_MAX]


def _of_revisions(house: House, models: Mapping[str, Applied]) -> list[str]:
    with redis.Redis.from_url(house.settings.redis_url.get_secret_value(), decode_responses=True) as client:
        found = {org: client.hget(index_key(org), "model_revision") for org in models}
    return [
        f"{index_key(org)} model_revision: found {found[org]}, it is {applied.revision}"
        for org, applied in models.items()
        if found[org] != str(applied.revision)
    ]


# --- what is known of one difference ----------------------------------------------------------


async def _explanation(house: House, org: str, difference: Difference, wanted: Expected, began: float) -> list[str]:
    """Return what the oracle and the topics hold about the first difference, oldest first."""
    if difference.where.startswith("attainments"):
        territory, period, user = difference.key
        key = attainment_key(org, territory, period, user)
        return [
            f"of {key}: the oracle says {difference.wanted}",
            *await _trail(house, key, (PARTIALS, ATTAINMENTS), began),
        ]
    key = _record_of(org, difference)
    return [
        f"of {key}: the oracle says {wanted.assignments.get(key)}",
        *await _trail(house, key, (RECORDS, RECORD_STATES, FAMILIES, RELEASES, ASSIGNMENTS), began),
    ]


def _record_of(org: str, difference: Difference) -> str:
    """Return the key of the record that a difference is about."""
    if difference.where.removeprefix(FOLLOWED) in ("visible", "editable"):
        _, kind = difference.key
        return record_key(org, kind, min((difference.found or set()) ^ (difference.wanted or set())))
    if difference.where == "left out":
        return record_key(org, "deal", difference.key)
    return str(difference.key)


async def _trail(house: House, key: str, topics: Iterable[Topic], began: float) -> list[str]:
    """Return the last messages of each topic about a key, with their times in seconds of the run."""
    lines: list[str] = []

    def take(message: ConsumerRecord) -> None:
        name = (message.key or b"").decode(errors="replace")
        if name == key or name.startswith(f"{key}#"):
            value = "gone" if message.value is None else message.value.decode(errors="replace")[:SHOWN_CHARACTERS_MAX]
            when = message.timestamp / 1000 - began
            lines.append(f"{when:8.2f} s [{message.partition}]@{message.offset} {name}: {value}")

    trail: list[str] = []
    for topic in topics:
        places = partitions_of(topic, house.settings.kafka_partitions)
        await read_messages(house.settings, dict.fromkeys(places, 0), take)
        lines.sort()
        trail += [f"  {topic.name}", *(f"  {line}" for line in lines[-TOLD_MAX:])]
        lines.clear()
    return trail
