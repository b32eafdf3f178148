"""Use cases write topics and read them back, on Apache Kafka and on the embedded broker; no service runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from territory.wire.codec import decode, encode
from territory.wire.events import ACTIVATION, ModelActivated, Record
from territory.wire.keys import family_key, model_key, record_key, upstream_partition_of
from territory.wire.topics import FAMILIES, MODEL, RECORD_STATES, RECORDS
from territory_admin.arguments import RecordName
from territory_admin.errors import NotFound, Refused
from territory_admin.lint.on_records import OnRecords, check_on_records
from territory_admin.lint.rule_lint import analyse_rules
from territory_admin.log.kafka_session import kafka_session, provisioned_partitions
from territory_admin.log.record_reader import find_record, was_overtaken
from territory_admin.log.topic_reader import partitions_of, read_messages, started
from territory_admin.models.apply import Applied, apply, apply_and_wait, messages_of
from territory_admin.models.refusal import refusal
from territory_admin.models.topic import ModelLog, active_model, read_active_model
from territory_admin.models.validate import check_model
from territory_admin.queries.unreadable import UnreadableValue, UnreadableValues, list_unreadable
from territory_admin.records.link import link
from territory_admin.records.publish import Published, publish
from territory_admin.records.wait import PIPELINE, absent_stages, wait
from territory_runtime.kafka import clients
from territory_runtime.kafka.producer import BatchProducer
from territory_runtime.settings import Settings

PARTITIONS = 3


def model(org_id: str, *territories: str) -> Any:
    return check_model(json.dumps({"org": org_id, "territories": [{"id": name} for name in territories]}))


def line(settings: Settings, record_id: str, version: int, op: str = "upsert", **more: Any) -> bytes:
    change = {
        "event_id": f"{record_id}-{version}-{op}", "org_id": settings.org_id, "object": "account", "id": record_id,
        "version": version, "op": op, "occurred_at": "2017-01-01T00:00:00Z", **more,
    }  # fmt: skip
    return json.dumps(change).encode() + b"\n"


def published(settings: Settings, *lines: bytes, as_is: bool = False) -> Published:
    return asyncio.run(publish(settings, lines, as_is=as_is, report=lambda *_: None))


def found(settings: Settings, record_id: str) -> Record | None:
    async def look() -> Record | None:
        async with kafka_session(settings) as kafka:
            found = await find_record(kafka, record_key(settings.org_id, "account", record_id))
        return None if found is None else found.record

    return asyncio.run(look())


# --- models -----------------------------------------------------------------------------------


def test_a_model_is_applied_once(settings: Settings) -> None:
    """Only a change makes a new revision; removed territories are gone from the model."""
    org = settings.org_id
    first = asyncio.run(apply(settings, model(org, "a", "b")))
    assert (first.revision, first.activated, len(first.changes.added)) == (1, True, 3)
    again = asyncio.run(apply(settings, model(org, "b", "a")))
    assert (again.revision, again.activated) == (1, False)
    second = asyncio.run(apply(settings, model(org, "a", "c")))
    assert (second.revision, second.changes.removed, second.changes.added) == (
        2,
        (("territory", "b"),),
        (("territory", "c"),),
    )
    active = asyncio.run(active_model(settings, org))
    assert (active.revision, set(active.territories)) == (2, {"a", "c"})


def test_models_applied_concurrently_are_whole_or_refused(settings: Settings) -> None:
    """An overtaken apply is refused; the active model is one of the models, and revisions only grow."""
    org = settings.org_id

    async def race() -> list[Applied | BaseException]:
        tries = [apply(settings, model(org, "a", f"t{number}")) for number in range(4)]
        return await asyncio.gather(*tries, return_exceptions=True)

    ended = asyncio.run(race())
    applied = [one for one in ended if isinstance(one, Applied)]
    assert applied
    assert all(isinstance(one, Applied | Refused) for one in ended)
    assert sorted(one.revision for one in applied) == list(range(1, len(applied) + 1))
    active = asyncio.run(active_model(settings, org))
    assert active.revision == len(applied)
    assert len(active.territories) == 2


def test_an_apply_reads_behind_an_open_transaction(settings: Settings) -> None:
    """Another organisation's open transaction hides our last apply from readers, but not from our next apply."""
    org = settings.org_id

    async def play() -> Applied:
        await provisioned_partitions(settings)
        other = clients.producer(settings, transactional_id=f"test-other-{org}")
        own = clients.producer(settings, transactional_id=f"test-own-{org}")
        async with started(other), started(own):
            async with aborted(other):
                await other.send_and_wait(MODEL.name, b"{}", key=f"{org}-other/territory/x".encode(), partition=0)
                messages = messages_of(org, ModelLog(), model(org, "a").pieces, datetime.now(UTC))
                async with own.transaction():
                    await BatchProducer(own, 1).send(messages)
                second = asyncio.create_task(apply(settings, model(org, "a", "b")))
                done, _ = await asyncio.wait([second], timeout=1)
                assert not done  # the last revision is unknown until the transaction ends
            return await second

    applied = asyncio.run(play())
    assert (applied.revision, applied.changes.added) == (2, (("territory", "b"),))


@asynccontextmanager
async def aborted(producer: Any) -> AsyncIterator[None]:
    """Hold a transaction open in the block, then abort it."""
    await producer.begin_transaction()
    try:
        yield
    finally:
        await producer.abort_transaction()


def test_an_organisation_without_a_model_is_reported(settings: Settings) -> None:
    """Reading its model raises NotFound."""
    asyncio.run(provisioned_partitions(settings))
    with pytest.raises(NotFound, match="has no model"):
        asyncio.run(active_model(settings, settings.org_id))


# --- records ----------------------------------------------------------------------------------


def test_lines_are_published_in_order_and_bad_ones_listed(settings: Settings) -> None:
    """Lines that are no RecordChange are listed by number; all others are published, bytes and order unchanged."""
    lines = [line(settings, "A", version) for version in range(1, 50)]
    done = published(settings, *lines[:20], b"{nonsense\n", b"\n", *lines[20:], line(settings, "A", 0))
    assert (done.published, done.refused) == (49, 2)
    assert [(refused.line, refused.code) for refused in done.refusals] == [(21, "not_json"), (52, "bad_version")]
    values: list[bytes] = []
    key = record_key(settings.org_id, "account", "A").encode()

    async def read() -> None:
        starts = dict.fromkeys(partitions_of(RECORDS, PARTITIONS), 0)
        await read_messages(
            settings, starts, lambda message: values.append(message.value) if message.key == key else None
        )

    asyncio.run(read())
    assert values == [one.strip() for one in lines]


def test_unchecked_lines_are_published_as_is(settings: Settings) -> None:
    """To try dead letters, bad lines are sent too, except lines that are too large for the topic."""
    done = published(settings, b"{nonsense", line(settings, "A", 0), b"x" * 1_100_000, as_is=True)
    assert (done.published, [refused.line for refused in done.refusals]) == (2, [3])


def test_a_record_is_found_with_changes_that_the_assigner_has_yet_to_consume(settings: Settings) -> None:
    """Pending changes are folded as the assigner will fold them (D7)."""
    published(
        settings,
        line(settings, "A", 3, owner_id="ann", fields={"x": 1, "y": 2}),
        line(settings, "A", 5, "patch", fields={"y": None}),
        line(settings, "A", 4, "patch", fields={"x": 9}),
    )
    record = found(settings, "A")
    assert record is not None
    assert (record.version, record.owner_id, record.fields) == (5, "ann", {"x": 1})
    assert found(settings, "B") is None


def test_manual_links_have_versions_of_their_own(settings: Settings) -> None:
    """Each decision increments the link version, also of concurrent ones; the last for a territory holds (A4)."""
    org, name = settings.org_id, RecordName("account", "A")
    asyncio.run(apply(settings, model(org, "a", "b")))
    published(settings, line(settings, "A", 1))

    async def race() -> list[int]:
        done = await asyncio.gather(*(link(settings, name, "a", "assign") for _ in range(3)))
        return [one.link_version for one in done]

    assert sorted(asyncio.run(race())) == [1, 2, 3]
    asyncio.run(link(settings, name, "b", "exclude"))
    asyncio.run(link(settings, name, "a", "none"))
    record = found(settings, "A")
    assert record is not None
    assert (record.link_version, record.links, record.version) == (5, {"b": "exclude"}, 1)


def test_only_a_link_with_a_newer_version_overtakes_another(settings: Settings) -> None:
    """A link whose version the record had already is refused by intake, so nobody has to publish again for it (A4)."""
    org, name = settings.org_id, RecordName("account", "A")
    asyncio.run(apply(settings, model(org, "a", "b")))
    published(settings, line(settings, "A", 1))
    asyncio.run(link(settings, name, "a", "assign"))
    decision = {"territory_id": "b", "kind": "assign"}

    async def overtaken_by(version: int) -> bool:
        async with kafka_session(settings) as kafka, started(clients.producer(settings)) as producer:
            read = await find_record(kafka, name.key(org))
            assert read is not None
            value, number = line(settings, "A", version, "link", **decision), read.partition
            sent = await producer.send_and_wait(RECORDS.name, value, key=name.key(org).encode(), partition=number)
            return await was_overtaken(kafka, read, sent.offset + 1)

    assert not asyncio.run(overtaken_by(1))
    assert asyncio.run(overtaken_by(2))


def test_a_link_needs_a_record_and_a_territory(settings: Settings) -> None:
    """Unknown records and territories are refused; but a link to a removed territory can be withdrawn (A11)."""
    org, name = settings.org_id, RecordName("account", "A")
    asyncio.run(apply(settings, model(org, "west", "gone")))
    with pytest.raises(NotFound, match=r"account/A .* is not known; publish it first"):
        asyncio.run(link(settings, name, "west", "assign"))
    published(settings, line(settings, "A", 1))
    with pytest.raises(NotFound, match="did you mean west"):
        asyncio.run(link(settings, name, "wset", "assign"))
    asyncio.run(link(settings, name, "gone", "assign"))
    asyncio.run(apply(settings, model(org, "west")))
    with pytest.raises(NotFound, match="'gone' is not in the model"):
        asyncio.run(link(settings, name, "gone", "exclude"))
    assert asyncio.run(link(settings, name, "gone", "none")).link_version == 2
    published(settings, line(settings, "A", 2, "delete"))
    with pytest.raises(NotFound, match="was deleted"):
        asyncio.run(link(settings, name, "west", "assign"))


def test_a_link_goes_to_the_partition_of_the_records_state(settings: Settings) -> None:
    """An upstream may use any partitioner; a link goes where the record's state is, or will be (A4, A13)."""
    org = settings.org_id
    asyncio.run(apply(settings, model(org, "west")))
    names = [f"B{partition}" for partition in range(PARTITIONS)]
    homes = {name: upstream_partition_of(record_key(org, "account", name), PARTITIONS) for name in (*names, "kept")}
    away = (homes["kept"] + 1) % PARTITIONS

    async def play() -> list[tuple[int, str]]:
        async with started(clients.producer(settings)) as producer:
            for partition, name in enumerate(names):  # at least two arrive away from their homes
                key = record_key(org, "account", name).encode()
                await producer.send_and_wait(RECORDS.name, line(settings, name, 1), key=key, partition=partition)
            # As an earlier version has kept it, where its changes arrived.
            family = record_key(org, "account", "kept")
            state = Record(org, "account", "kept", 1, 0, False, None, None, None, {}, {}, family, away, "e", 0)
            await producer.send_and_wait(RECORD_STATES.name, encode(state), key=family.encode(), partition=away)
        for name in homes:
            await link(settings, RecordName("account", name), "west", "assign")
        places: list[tuple[int, str]] = []

        def take(message: Any) -> None:
            if message.key.decode().startswith(f"{org}/") and decode(message.value)["op"] == "link":
                places.append((message.partition, message.key.decode().rsplit("/", 1)[1]))

        await read_messages(settings, dict.fromkeys(partitions_of(RECORDS, PARTITIONS), 0), take)
        return places

    expected = {name: home for name, home in homes.items() if name in names} | {"kept": away}
    assert sorted(asyncio.run(play())) == sorted((partition, name) for name, partition in expected.items())


def test_a_model_is_checked_on_published_records(settings: Settings) -> None:
    """The last state of this organisation's records counts; the costliest rules are measured on them."""
    org = settings.org_id
    document = {
        "org": org,
        "fields": {"account": {"city": "text"}},
        "territories": [
            {"id": name, "rules": {"account": {"field": "city", "contains": name}}} for name in ("a", "b", "c")
        ],
    }
    checked = check_model(json.dumps(document))

    def whole(org_id: str, record_id: str, version: int, city: str) -> bytes:
        family = family_key(org_id, "account", record_id, None, None)
        return encode(
            Record(
                org_id, "account", record_id, version, 0, False, None, None, None, {"city": city}, {}, family, 0, "e", 0
            )
        )

    async def play() -> tuple[OnRecords, list[tuple[float, float]]]:
        reports: list[tuple[float, float]] = []
        await provisioned_partitions(settings)
        async with started(clients.producer(settings)) as producer:
            for org_id, record_id, version, city in (
                (org, "A", 1, "c"), (org, "A", 2, "ab"), (org, "B", 1, "ab"), (org, "C", 1, "b"),
                (f"{org}-2", "D", 1, "c"),
            ):  # fmt: skip
                key = record_key(org_id, "account", record_id).encode()
                value = whole(org_id, record_id, version, city)
                await producer.send_and_wait(FAMILIES.name, value, key=key, partition=ord(record_id) % PARTITIONS)
            gone = record_key(org, "account", "C").encode()
            await producer.send_and_wait(FAMILIES.name, None, key=gone, partition=ord("C") % PARTITIONS)
            await producer.send_and_wait(FAMILIES.name, b"{}", key=gone + b"2", partition=0)
        found = await check_on_records(
            settings, checked.model, analyse_rules(checked.model), lambda read, total: reports.append((read, total))
        )
        return found, reports

    found, reports = asyncio.run(play())
    assert found.coverage.records == {"account": 2, "lead": 0, "deal": 0}
    assert [(overlap.siblings, overlap.records) for overlap in found.coverage.overlaps] == [(("a", "b"), 2)]
    assert [one.territory_id for one in found.coverage.unreached] == ["c"]
    assert {rule.territory_id for rule in found.measured} == {"a", "b", "c"}
    assert all(rule.microseconds > 0 for rule in found.measured)
    assert reports[-1][0] == reports[-1][1] >= 7


def test_unreadable_values_are_listed(settings: Settings) -> None:
    """The last state of this organisation's records counts, wherever they are; pages follow each other (C6)."""
    org = settings.org_id
    fields = {"account": {"vip": "boolean"}}
    applied = check_model(json.dumps({"org": org, "fields": fields, "territories": [{"id": "world"}]}))

    async def play() -> list[UnreadableValues]:
        await provisioned_partitions(settings)
        await apply(settings, applied)
        async with started(clients.producer(settings)) as producer:
            for org_id, record_id, version, vip in (
                (org, "A", 1, "on"), (org, "A", 2, "Y"), (org, "B", 1, "on"), (org, "C", 1, 2),
                (f"{org}-2", "D", 1, "on"),
            ):  # fmt: skip
                family = family_key(org_id, "account", record_id, None, None)
                record = Record(
                    org_id,
                    "account",
                    record_id,
                    version,
                    0,
                    False,
                    None,
                    None,
                    None,
                    {"vip": vip},
                    {},
                    family,
                    0,
                    "e",
                    0,
                )
                await producer.send_and_wait(
                    FAMILIES.name, encode(record), key=record.key.encode(), partition=ord(record_id) % PARTITIONS
                )
        pages = [await list_unreadable(settings, 1, None, lambda *_: None)]
        while pages[-1].next is not None:
            pages.append(await list_unreadable(settings, 1, pages[-1].next, lambda *_: None))
        return pages

    pages = asyncio.run(play())
    assert [value for page in pages for value in page.values] == [
        UnreadableValue("account/B", "vip", '"on"', "a boolean"),
        UnreadableValue("account/C", "vip", "2", "a boolean"),
    ]
    assert [page.total for page in pages] == [2, 2]
    done = published(settings, line(settings, "E", 1, fields={"vip": "on"}), line(settings, "F", 1))
    assert (done.published, done.unreadable) == (2, 1)
    assert done.unreadable_examples == (UnreadableValue(f"{org}/account/E", "vip", '"on"', "a boolean"),)


def test_a_wait_that_times_out_names_the_stages(settings: Settings) -> None:
    """Without services, the result names the stages that are behind, and that no service runs them."""
    asyncio.run(apply(settings, model(settings.org_id, "west")))
    published(settings, line(settings, "A", 1))
    done = asyncio.run(wait(settings, 0.3, lambda *_: None))
    assert not done.done
    assert {item.stage for item in done.behind} >= {"assigner-intake", "access-indexer"}
    assert set(done.absent) >= {"assigner-intake", "access-indexer"}
    assert list(asyncio.run(absent_stages(settings))) == [stage.name for stage in PIPELINE]


def test_an_apply_does_not_wait_for_absent_services(settings: Settings) -> None:
    """Without services the model is activated at once, and the result names the absent stages."""
    done = asyncio.run(apply_and_wait(settings, model(settings.org_id, "west"), 60.0, lambda *_: None))
    assert (done.revision, done.activated, done.in_effect) == (1, True, None)
    assert list(done.absent) == [stage.name for stage in PIPELINE]


def test_a_use_case_connects_each_client_once(settings: Settings) -> None:
    """Steps of one session share its clients, and read topics in turn with one consumer."""
    asyncio.run(apply(settings, model(settings.org_id, "west")))
    published(settings, line(settings, "A", 1))

    async def play() -> None:
        async with kafka_session(settings) as kafka:
            consumer, admin = await kafka.consumer(), await kafka.admin()
            for _ in range(2):
                assert await find_record(kafka, record_key(settings.org_id, "account", "A")) is not None
                assert (await read_active_model(kafka, settings.org_id)).revision == 1
                assert not consumer.assignment()  # else it keeps fetching in the background
            assert (await kafka.consumer(), await kafka.admin()) == (consumer, admin)

    asyncio.run(play())


def test_a_change_in_an_open_transaction_is_not_published_yet(settings: Settings) -> None:
    """An upstream's open transaction is not waited for, and its changes count when it is committed."""

    async def play() -> list[bool]:
        await provisioned_partitions(settings)
        key = record_key(settings.org_id, "account", "A")
        upstream = clients.producer(settings, transactional_id=f"test-upstream-{settings.org_id}")
        async with started(upstream), kafka_session(settings) as kafka:
            await upstream.begin_transaction()
            await upstream.send_and_wait(RECORDS.name, line(settings, "A", 1), key=key.encode(), partition=0)
            before = await find_record(kafka, key)
            await upstream.commit_transaction()
            return [found is not None for found in (before, await find_record(kafka, key))]

    assert asyncio.run(play()) == [False, True]


def test_a_refused_model_is_reported(settings: Settings) -> None:
    """An activation with another digest, by another writer, is reported until the next apply."""
    org = settings.org_id
    asyncio.run(apply(settings, model(org, "west")))
    assert asyncio.run(refusal(settings)) is None

    async def activate() -> None:
        activation = ModelActivated(org, 2, 1, "another digest", "2017-01-01T00:00:00Z")
        async with started(clients.producer(settings)) as producer:
            key = model_key(org, *ACTIVATION).encode()
            await producer.send_and_wait(MODEL.name, encode(activation), key=key, partition=0)

    asyncio.run(activate())
    refused = asyncio.run(refusal(settings))
    assert refused is not None
    assert refused.revision == 2
    assert asyncio.run(apply(settings, model(org, "west"))).revision == 3
    assert asyncio.run(refusal(settings)) is None
