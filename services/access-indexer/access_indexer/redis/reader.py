"""Looking at the access index in Redis, page by page, without changing it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress

from access_indexer.core.changes import SetKind
from access_indexer.core.drift import Place, Seen
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
SET_KEYS = {"visible": visible_key, "editable": editable_key}


class RedisIndexReader:
    """What Redis holds of the access index. Every method raises redis.exceptions.RedisError, RedisClusterException."""

    def __init__(self, client: Client) -> None:
        self._redis = client
        self._nodes = Nodes(client)

    async def at(self, places: Sequence[Place]) -> list[Seen]:
        """Return what is at some entries, in their order: one command for each hash and each set."""
        seen: list[Seen] = [False] * len(places)
        members: dict[str, list[int]] = defaultdict(list)
        records: list[int] = []
        for number, place in enumerate(places):
            if place.word == "record":
                records.append(number)
            else:
                members[SET_KEYS[place.word](place.org_id, place.user_id, place.object)].append(number)
        pipeline = self._redis.pipeline(transaction=False)
        for number in records:
            pipeline.hgetall(record_hash_key(*places[number][1:4]))
        for key, numbers in members.items():
            pipeline.smismember(key, [places[number].record_id for number in numbers])
        answers = await pipeline.execute() if places else []
        for number, fields in zip(records, answers, strict=False):
            seen[number] = fields
        for numbers, there in zip(members.values(), answers[len(records) :], strict=True):
            for number, one in zip(numbers, there, strict=True):
                seen[number] = bool(one)
        return seen

    async def admins(self, org_id: str) -> frozenset[str]:
        """Return the users who see and edit everything."""
        return frozenset(map(str, await self._redis.smembers(admins_key(org_id))))

    async def entries(self, org_ids: Collection[str]) -> AsyncIterator[list[Place]]:
        """Yield all entries of organisations, in pages: hashes, or members of one set.

        Each comes at least once, if it is there all the while. All keys of Redis are gone through once.
        """
        match = f"*:{{{next(iter(org_ids))}:*" if len(org_ids) == 1 else "*:{*:*"
        async for keys in key_pages(self._nodes, match, PAGE):
            records: list[Place] = []
            for key in keys:
                word = key.partition(":{")[0]
                with suppress(ValueError):  # another's key that begins like ours
                    if word == "record":
                        records.append(Place("record", *parse_record_hash_key(key)))
                    elif word in SET_KEYS and parse_set_key(key)[1] in org_ids:
                        cursor = -1
                        while cursor:
                            cursor, members = await self.members(key, max(cursor, 0), PAGE)
                            yield members
            yield [place for place in records if place.org_id in org_ids]

    async def members(self, key: str, cursor: int, count: int) -> tuple[int, list[Place]]:
        """Return some members of a user's set as entries, and where to go on; 0 at the end."""
        word, org_id, user_id, object_type = parse_set_key(key)
        kind: SetKind = "visible" if word == "visible" else "editable"
        cursor, ids = await self._redis.sscan(key, cursor, count=count)
        return int(cursor), [Place(kind, org_id, object_type, str(record_id), user_id) for record_id in ids]
