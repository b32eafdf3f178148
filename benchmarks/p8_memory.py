"""P8: bytes of Redis for a membership, and bytes of a worker for a record beyond the record's own.

The access indexer's own writer writes the sets. Each worker's stages process JSON messages in a process of their
own. `compact_layout.py` studies a layout that takes less.
"""

from __future__ import annotations

import asyncio
import random
import string
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import redis
import redis.asyncio
from tests.support.servers import find_redis

from access_indexer.core.changes import IndexChange, SetChange
from access_indexer.redis.writer import RedisIndexWriter
from assigner.assignment.policy_cache import PolicyCache
from benchmarks import compact_layout
from benchmarks.corpus import model_document, record_changes
from benchmarks.results import Figure, Report, Table, figure, say
from benchmarks.worker_memory import WORKERS, Grown, measure, write_messages
from territory.model.compiled import compile_model
from territory.wire.keys import visible_key
from territory_admin.errors import StackFailed

ORG, OBJECT, STAGE = "bench", "account", "access-indexer"
PREFIX = "001"
"""Prefix of an id, by kind, as Salesforce's ids have."""
ID_CHARACTERS = 18
ALPHABET = string.digits + string.ascii_letters
OF_BYTES = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
MEMBERSHIPS_A_RECORD = 40
SMALL, MIDDLE, DOUBLED = 1_000, 100_000, 2**17 + 1
"""The last size is the worst: Redis has just allocated a table of twice as many places, and still has the old one."""
WRITTEN_AT_ONCE = 20_000
MEMBERSHIP_BYTES_MAX = 75
RECORD_BYTES_MAX = 600


class Population(NamedTuple):
    """Sets of one size."""

    size: int
    sets: int

    @property
    def memberships(self) -> int:
        """Memberships in all of them."""
        return self.size * self.sets


class Filled(NamedTuple):
    """Memory of the sets of one size."""

    population: Population
    grown: int
    """Growth of `used_memory`, in bytes."""
    usage: int
    """Sum of MEMORY USAGE, in bytes."""


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Measure Redis, then the workers, then the compact layout; the broker plays no part."""
    found = find_redis()
    if found.make is None:
        raise StackFailed(found.says)
    with closing(found.make(folder)) as server:
        server.start()
        with closing(redis.Redis.from_url(server.url, decode_responses=True)) as client:
            allocator = str(client.info("memory")["mem_allocator"])
            filled, faults = _fill_all(client, server.url, populations(records * MEMBERSHIPS_A_RECORD), seed)
            client.flushall()
            study = compact_layout.study(server.url, random_ids(random.Random(seed + 1), records), runs)
    say("p8: Redis is measured")
    own, grown = _workers(folder, records, territories, seed)
    faults += [
        f"{one.fold} remembers {one.records} of {records} records"
        for folds in grown.values()
        for one in folds
        if one.records != records
    ]
    return Report(
        name="p8",
        title="bytes of Redis a membership, bytes of a worker a record, and a layout that takes less",
        parameters={
            "records": records, "territories": territories,
            "memberships": sum(one.population.memberships for one in filled),
            "id_characters": ID_CHARACTERS, "record_bytes": own / records, **compact_layout.parameters(),
        },
        surroundings={"redis": f"{found.says}, {allocator}"},
        figures=(*_redis_figures(filled), *_worker_figures(own / records, grown), *study.figures),
        faults=(*faults, *study.faults),
        checked={"sets": sum(one.population.sets for one in filled), "folds": 3, "answers": study.answers},
        tables=(_table(own / records, grown), study.table),
    )  # fmt: skip


def populations(memberships: int) -> tuple[Population, ...]:
    """Return sets with this many memberships: a tenth in small sets, four in middle ones, and one with the rest."""
    some = (
        Population(SMALL, max(1, memberships // 10 // SMALL)),
        Population(MIDDLE, max(1, memberships * 4 // 10 // MIDDLE)),
        Population(DOUBLED, 1),
    )
    rest = memberships - sum(one.memberships for one in some)
    return (*some, Population(rest, 1)) if rest > 0 else some


def random_ids(rng: random.Random, count: int) -> list[str]:
    """Return random ids of 18 characters, base 62 after a prefix; collisions are too unlikely to matter."""
    length = ID_CHARACTERS - len(PREFIX)
    text = rng.randbytes(length * count).translate(OF_BYTES).decode()
    return [PREFIX + text[start : start + length] for start in range(0, len(text), length)]


# --- Redis ------------------------------------------------------------------------------------


def _fill_all(client: Any, url: str, sizes: tuple[Population, ...], seed: int) -> tuple[list[Filled], list[str]]:
    """Write sets of each size; return their memory, and those with wrong members."""
    rng, filled, faults = random.Random(seed), list[Filled](), list[str]()
    for population in sizes:
        users = [f"user-{population.size}-{number}" for number in range(population.sets)]
        before = client.info("memory")["used_memory"]
        asyncio.run(_fill(url, users, population.size, rng))
        grown = client.info("memory")["used_memory"] - before
        keys = [visible_key(ORG, user, OBJECT) for user in users]
        filled.append(Filled(population, grown, sum(client.memory_usage(key) for key in keys)))
        faults += [f"{key} has not {population.size} records" for key in keys if client.scard(key) != population.size]
        say(f"p8: {population.sets:,} sets of {population.size:,}: {grown / population.memberships:.1f} B a membership")
    return filled, faults


async def _fill(url: str, users: list[str], size: int, rng: random.Random) -> None:
    """Write sets through the indexer's writer; close its connection, so that it takes no memory."""
    client = redis.asyncio.Redis.from_url(url, decode_responses=True)
    index, changes, waiting = RedisIndexWriter(client, STAGE, 0), list[IndexChange](), 0
    try:
        for user, ids in _portions(users, size, rng):
            changes.append(SetChange(ORG, "visible", user, OBJECT, ids, present=True))
            waiting += len(ids)
            if waiting >= WRITTEN_AT_ONCE:
                await index.apply(changes, [])
                changes, waiting = [], 0
        await index.apply(changes, [])
    finally:
        await client.aclose()


def _portions(users: list[str], size: int, rng: random.Random) -> Iterator[tuple[str, list[str]]]:
    for user in users:
        for start in range(0, size, WRITTEN_AT_ONCE):
            yield user, random_ids(rng, min(WRITTEN_AT_ONCE, size - start))


def _redis_figures(filled: list[Filled]) -> list[Figure]:
    found = []
    for (size, sets), grown, usage in filled:
        count = size * sets
        each = f"{sets:,} sets of {size:,}" if sets > 1 else f"a set of {size:,}"
        beside = [(grown / count, usage / count)]
        found.append(figure(f"Redis a membership, {each}", "B", beside, value_max=MEMBERSHIP_BYTES_MAX))
    count = sum(one.population.memberships for one in filled)
    beside = [(sum(one.grown for one in filled) / count, sum(one.usage for one in filled) / count)]
    found.append(figure(f"Redis a membership, all {count:,}", "B", beside, value_max=MEMBERSHIP_BYTES_MAX))
    return found


# --- workers ----------------------------------------------------------------------------------


def _workers(folder: Path, records: int, territories: int, seed: int) -> tuple[int, dict[str, list[Grown]]]:
    """Return how many bytes the records have, and what each worker's stages use."""
    document = model_document(territories, seed)
    model, models = folder / "model.json", {ORG: compile_model(document, 1)}
    model.write_bytes(msgspec.json.encode(document))
    linkers = PolicyCache()
    linkers.prepare(models[ORG])
    own = write_messages(folder, record_changes(records, seed, updates=0, deletes=0), models, linkers)
    say("p8: what is on the topics is written")
    grown = {}
    for worker in WORKERS:
        grown[worker] = measure(worker, model, folder)
        say(f"p8: {worker} is measured")
    return own, grown


def _worker_figures(own: float, grown: dict[str, list[Grown]]) -> list[Figure]:
    return [
        figure(f"{worker} a record, beyond its own", "B", [(beyond(folds, own), own)], value_max=RECORD_BYTES_MAX)
        for worker, folds in grown.items()
    ]


def beyond(folds: list[Grown], own: float) -> float:
    """Return a stage's bytes for a record beyond the record's JSON."""
    return sum(one.bytes / one.records for one in folds) - own


def _table(own: float, grown: dict[str, list[Grown]]) -> Table:
    rows = [
        (worker, one.fold, f"{one.records:,}", f"{one.bytes / one.records:,.0f}", f"{own:,.0f}")
        for worker, folds in grown.items()
        for one in folds
    ]
    return Table("memory of workers", ("worker", "fold", "records", "B a record", "as JSON"), tuple(rows))
