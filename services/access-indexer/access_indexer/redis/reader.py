"""Reads the access index from Redis in pages, without changing it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress

from access_indexer.core.changes import SetKind
from access_indexer.core.drift import EntryValue, IndexEntry
from territory.wire.keys import (
    admins_key,
    editable_key,
    parse_record_hash_key,
    parse_set_key,
    record_hash_key,
    visible_key,
)
from territory_runtime.redis.nodes import Client, Nodes, key_pages

PAGE = 1_000
"""Keys or members that one SCAN or SSCAN is asked for."""
SET_KEYS = {"visible": visible_key, "editable": editable_key}


class RedisIndexReader:
    """Reads entries of the index. Every method raises redis.exceptions.RedisError, RedisClusterException."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._nodes = Nodes(client)

    async def read(self, entries: Sequence[IndexEntry]) -> list[EntryValue]:
        """Return the values of entries, in their order: one command for each hash and each set."""
        values: list[EntryValue] = [False] * len(entries)
        members: dict[str, list[int]] = defaultdict(list)
        records: list[int] = []
        for number, entry in enumerate(entries):
            if entry.kind == "record":
                records.append(number)
            else:
                members[SET_KEYS[entry.kind](entry.org_id, entry.user_id, entry.object)].append(number)
        pipeline = self._redis.pipeline(transaction=False)
        for number in records:
            pipeline.hgetall(record_hash_key(*entries[number][1:4]))
        for key, numbers in members.items():
            pipeline.smismember(key, [entries[number].record_id for number in numbers])
        answers = await pipeline.execute() if entries else []
        for number, fields in zip(records, answers, strict=False):
            values[number] = fields
        for numbers, flags in zip(members.values(), answers[len(records) :], strict=True):
            for number, is_member in zip(numbers, flags, strict=True):
                values[number] = bool(is_member)
        return values

    async def admins(self, org_id: str) -> frozenset[str]:
        """Return an organisation's administrators, who see and edit everything."""
        return frozenset(map(str, await self._redis.smembers(admins_key(org_id))))

    async def entries(self, org_ids: Collection[str]) -> AsyncIterator[list[IndexEntry]]:
        """Yield all entries of some organisations, in pages: either hashes, or members of one set.

        An entry that exists all the while comes at least once. Costs one SCAN over all keys of Redis, and one SSCAN
        of every set of these organisations.
        """
        match = f"*:{{{next(iter(org_ids))}:*" if len(org_ids) == 1 else "*:{*:*"
        async for keys in key_pages(self._nodes, match, PAGE):
            records: list[IndexEntry] = []
            for key in keys:
                word = key.partition(":{")[0]
                with suppress(ValueError):  # the key of another application that begins like ours
                    if word == "record":
                        records.append(IndexEntry("record", *parse_record_hash_key(key)))
                    elif word in SET_KEYS and parse_set_key(key)[1] in org_ids:
                        cursor = -1
                        while cursor:
                            cursor, members = await self.members(key, max(cursor, 0), PAGE)
                            yield members
            yield [entry for entry in records if entry.org_id in org_ids]

    async def members(self, key: str, cursor: int, count: int) -> tuple[int, list[IndexEntry]]:
        """Return some members of a user's set as entries, and the next cursor; 0 at the end."""
        word, org_id, user_id, object_type = parse_set_key(key)
        kind: SetKind = "visible" if word == "visible" else "editable"
        cursor, ids = await self._redis.sscan(key, cursor, count=count)
        return int(cursor), [IndexEntry(kind, org_id, object_type, str(record_id), user_id) for record_id in ids]
