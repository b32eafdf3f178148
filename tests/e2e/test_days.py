"""Days pass for real services: what was said under yesterday's rules is corrected by who comes back today."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import TopicPartition
from msgspec.structs import replace

from territory.stage import Message
from territory.wire.topics import ASSIGNMENTS, FAMILIES, SUBSCRIPTIONS
from territory_admin.log.topic_reader import POLL_SECONDS, committed_offsets, partitions_of, started
from territory_runtime.kafka import clients
from territory_runtime.loop.commit_metadata import CommitMetadata
from tests.support.house import House, compare
from tests.support.oracle import expected

pytestmark = [pytest.mark.kafka]

ORG = "days"
STAGE = "assigner-assignment"
DAY_SECONDS = 24 * 3600
PASSED_SECONDS = 60.0
MODEL: dict[str, Any] = {
    "org": ORG,
    "fields": {"account": {"since": "date"}},
    "roles": [{"id": "r"}],
    "users": [{"id": "u", "role": "r"}, {"id": "v", "role": "r"}],
    "territories": [
        {"id": "new", "users": ["v"], "rules": {"account": {"field": "since", "within_last_days": 7}}},
        {"id": "old", "rules": {"account": {"field": "since", "older_than_days": 7}}},
    ],
}


def account(record_id: str, days_old: int) -> dict[str, Any]:
    """Return an account that is so many days old today."""
    since = datetime.now(UTC).date() - timedelta(days=days_old)
    return {
        "event_id": record_id, "org_id": ORG, "object": "account", "id": record_id, "version": 1, "op": "upsert",
        "occurred_at": "2017-03-01T10:00:00Z", "owner_id": "u", "fields": {"since": since.isoformat()},
    }  # fmt: skip


def test_a_day_passes_while_the_assigner_is_away(kafka_house: House) -> None:
    """It said yesterday that an account is new, and stopped: today it says that it is old, and no more (C7, A9)."""
    house, history = kafka_house, [account("A-1", days_old=1), account("A-8", days_old=8)]
    house.apply(MODEL)
    house.start_all()
    house.publish(history)
    house.wait()
    house.stop("assigner")
    said = house.found(ORG).assignments
    new, old = said[f"{ORG}/account/A-1"], said[f"{ORG}/account/A-8"]
    assert (new.territories, old.territories) == (("new",), ("old",))
    # As it would stand, had all of this been yesterday.
    house.send([Message(ASSIGNMENTS.name, old.key, replace(old, links=new.links), old.key)])
    yesterday = asyncio.run(set_back(house))
    house.start("assigner")
    asyncio.run(passed(house, yesterday))
    house.wait()
    found = house.found(ORG)
    assert compare(found, ORG, expected({ORG: {**MODEL, "today": datetime.now(UTC).date()}}, history)) == []
    assert found.assignments[old.key].event_id == f"model/{ORG}/1"
    assert found.assignments[new.key] == new  # with the event that it was said for at first


async def set_back(house: House) -> dict[TopicPartition, CommitMetadata]:
    """Write beside the offsets of the assigner's second stage that all was said the day before; return the notes."""
    notes: dict[TopicPartition, CommitMetadata] = {}
    offsets = await commits(house)
    async with started(clients.group_consumer(house.settings, STAGE)) as consumer:
        consumer.assign(list(offsets))
        for where, (offset, text) in offsets.items():
            note = CommitMetadata.read(text)
            assert note.applied.instant is not None
            earlier = note.applied._replace(instant=note.applied.instant - DAY_SECONDS)
            notes[where] = CommitMetadata(earlier, earlier, edition=note.edition)
            await consumer.commit({where: (offset, str(notes[where]))})
    return notes


async def passed(house: House, before: dict[TopicPartition, CommitMetadata]) -> None:
    """Wait until no partition is swept for the day before any more."""
    async with asyncio.timeout(PASSED_SECONDS):
        while True:
            notes = {where: CommitMetadata.read(text) for where, (_, text) in (await commits(house)).items()}
            if all(note.applied != before[where].applied for where, note in notes.items()):
                return
            await asyncio.sleep(POLL_SECONDS)


async def commits(house: House) -> dict[TopicPartition, tuple[int, str]]:
    """Return the offsets that the assigner's second stage has committed, with the notes beside them."""
    async with started(clients.group_admin(house.settings)) as admin:
        partitions = house.settings.kafka_partitions
        places = [place for topic in (FAMILIES, SUBSCRIPTIONS) for place in partitions_of(topic, partitions)]
        return await committed_offsets(admin, STAGE, places)
