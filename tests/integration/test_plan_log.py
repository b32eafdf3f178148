"""Plans are made from the topics, on Apache Kafka and on the embedded broker; no service runs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from territory.wire.events import Record
from territory.wire.keys import record_key
from territory.wire.topics import FAMILIES, MODEL
from territory_admin.errors import Refused
from territory_admin.log.kafka_session import provisioned_partitions
from territory_admin.log.topic_reader import partitions_of, started
from territory_admin.models.apply import Applied, Terms, apply
from territory_admin.models.validate import CheckedModel, check_model
from territory_admin.planning.handover import Share
from territory_admin.planning.model_comparison import MovedRecord
from territory_admin.planning.plan import plan
from territory_admin.planning.safeguard import NeedsConsent
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings
from tests.integration.test_report_log import FAMILY, put


def model(org_id: str, country: str) -> CheckedModel:
    territories = [{"id": "west", "rules": {"account": {"field": "country", "eq": country}}}]
    return check_model(
        json.dumps({"org": org_id, "fields": {"account": {"country": "text"}}, "territories": territories})
    )


def account(org_id: str, record_id: str, country: str, version: int = 1) -> Record:
    fields = {"country": country}
    return Record(org_id, "account", record_id, version, 0, False, None, None, None, fields, {}, record_id, 0, "e", 0)


async def ends(settings: Settings) -> Any:
    async with started(clients.reader(settings)) as reader:
        return await reader.end_offsets(partitions_of(MODEL, 1))


def test_a_plan_reads_the_records_and_writes_nothing(settings: Settings) -> None:
    """It uses the last state of this organisation's records; removed and unreadable ones are ignored."""
    org = settings.org_id

    async def play() -> Any:
        await provisioned_partitions(settings)
        await apply(settings, model(org, "US"))
        messages = [
            *((each.key, each, FAMILY) for each in (account(org, "A-1", "US"), account(org, "A-2", "CA"))),
            *((each.key, each, FAMILY) for each in (account(org, "A-3", "CA"), account(org, "A-1", "CA", 2))),
            (record_key(org, "account", "A-3"), None, FAMILY),
            (record_key(org, "account", "A-4"), b"{", FAMILY),
            (record_key(f"{org}-2", "account", "A-5"), account(f"{org}-2", "A-5", "CA"), FAMILY),
        ]
        await put(settings, FAMILIES, *messages)
        before = await ends(settings)
        planned = await plan(settings, model(org, "CA"), 1, lambda *_: None)
        assert await ends(settings) == before
        return planned

    planned = asyncio.run(play())
    assert (planned.revision, planned.plan.records, planned.plan.moved) == (1, 2, {"account": 2})
    assert planned.plan.examples == (MovedRecord("account", "A-1", (), ("west",)),)
    assert planned.changes.changed == (("territory", "west"),)


def test_a_first_model_can_be_planned(settings: Settings) -> None:
    """If the organisation has records and no model yet, every record moves into the tree."""
    org = settings.org_id

    async def play() -> Any:
        await provisioned_partitions(settings)
        await put(settings, FAMILIES, (record_key(org, "account", "A-1"), account(org, "A-1", "US"), FAMILY))
        return await plan(settings, model(org, "US"), 10, lambda *_: None)

    planned = asyncio.run(play())
    assert (planned.revision, planned.plan.moved) == (0, {"account": 1})
    assert len(planned.changes.added) > 1


def test_an_apply_that_moves_much_needs_consent(settings: Settings) -> None:
    """With the safeguard nothing is written when more than a tenth of the records would move; with consent it is."""
    org = settings.org_id
    guarded = Terms(with_safeguard=True)

    async def play() -> None:
        await provisioned_partitions(settings)
        first = await apply(settings, model(org, "US"), guarded)
        assert first.revision == 1
        records = [account(org, f"A-{number}", "US" if number else "CA") for number in range(10)]
        await put(settings, FAMILIES, *((each.key, each, FAMILY) for each in records))
        before = await ends(settings)
        with pytest.raises(NeedsConsent) as held:
            await apply(settings, model(org, "DE"), guarded)
        assert (held.value.records, held.value.planned.revision) == (Share(9, 10), 1)
        assert await ends(settings) == before
        consented = await apply(settings, model(org, "DE"), Terms(expected_revision=held.value.planned.revision))
        assert (consented.revision, consented.activated) == (2, True)
        few = await apply(settings, model(org, "CA"), guarded)  # one of ten: a tenth, and not more
        assert few.revision == 3

    asyncio.run(play())


def test_only_one_of_several_applies_replaces_a_revision(settings: Settings) -> None:
    """Of several that expect the same revision at the same moment, at most one is applied; the others are refused."""
    org = settings.org_id

    async def race() -> list[Applied | BaseException]:
        await apply(settings, model(org, "US"))
        tries = [apply(settings, model(org, f"C{number}"), Terms(expected_revision=1)) for number in range(4)]
        return await asyncio.gather(*tries, return_exceptions=True)

    ended = asyncio.run(race())
    applied = [one for one in ended if isinstance(one, Applied)]
    assert len(applied) <= 1
    assert all(isinstance(one, Applied | Refused) for one in ended)
    assert all(one.revision == 2 for one in applied)
    with pytest.raises(Refused, match="expected revision 9"):
        asyncio.run(apply(settings, model(org, "FR"), Terms(expected_revision=9)))
