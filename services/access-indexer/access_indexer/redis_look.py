"""Looking at the access index in Redis, page by page, without changing it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress

import redis.asyncio

from access_indexer.core.changes import SetKind
from access_indexer.core.drift import Place, Seen
from territory.keys import admins_key, editable_key, parse_record_hash_key, parse_set_key, record_hash_key, visible_key

PAGE = 1_000
SET_KEYS = {"visible": visible_key, "editable": editable_key}


class RedisLook:
    """What Redis holds of the access index. Every method raises redis.exceptions.RedisError."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client

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

    async def entries(self, org_id: str) -> AsyncIterator[list[Place]]:
        """Yield all entries of an organisation, in pages; each at least once, if it is there all the while."""
        for word in SET_KEYS:
            async for key in self._redis.scan_iter(match=f"{word}:{{{org_id}:*", count=PAGE):
                cursor = 0
                while True:
                    cursor, page = await self.members(key, cursor, PAGE)
                    yield page
                    if not cursor:
                        break
        cursor = 0
        while True:
            cursor, keys = await self._redis.scan(cursor, match=f"record:{{{org_id}:*", count=PAGE)
            yield list(_records_of(map(str, keys)))
            if not cursor:
                return

    async def members(self, key: str, cursor: int, count: int) -> tuple[int, list[Place]]:
        """Return some members of a user's set as entries, and where to go on; 0 at the end."""
        word, org_id, user_id, object_type = parse_set_key(key)
        kind: SetKind = "visible" if word == "visible" else "editable"
        cursor, ids = await self._redis.sscan(key, cursor, count=count)
        return int(cursor), [Place(kind, org_id, object_type, str(record_id), user_id) for record_id in ids]


def _records_of(keys: Iterable[str]) -> Iterator[Place]:
    for key in keys:
        with suppress(ValueError):  # another's key that begins like ours
            yield Place("record", *parse_record_hash_key(key))
