"""Building an organisation's index beside the one in use, and exchanging the two in one step.

Readers see the old index or the new one. While they are exchanged nobody else writes: `HELD_KEY`
is there, which every stage's writes look at. It goes by itself some seconds after a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import redis.asyncio
import redis.exceptions

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, SetChange
from access_indexer.redis.reader import SET_KEYS
from access_indexer.redis.writer import RedisIndexWriter
from territory.wire.keys import HELD_KEY, admins_key, rebuild_prefix, rebuilding_key, record_hash_key

LOCK_SECONDS = 30
KEEP_SECONDS = 5.0
HELD_SECONDS = 30
SCANNED = 1_000
PRUNED = 250
"""Records that are compared in one script: some milliseconds of Redis' time."""

SWITCH = """
local done = redis.call('GET', ARGV[2] .. 'done')
if done then return tonumber(done) end -- repeated, since its answer was lost: all new keys are in their places
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('GET', KEYS[2]) ~= ARGV[1] then return -1 end
local there = 0
for _, name in ipairs(cmsgpack.unpack(ARGV[3])) do
  if redis.call('EXISTS', ARGV[2] .. name) == 0 then
    redis.call('UNLINK', name)
  else
    if string.sub(name, 1, 7) ~= 'record:' then redis.call('UNLINK', name) end -- to free a large set aside
    redis.call('RENAME', ARGV[2] .. name, name)
    there = there + 1
  end
end
redis.call('SET', ARGV[2] .. 'done', there)
return there
"""
PRUNE = """
local same = {}
for number, name in ipairs(cmsgpack.unpack(ARGV[2])) do
  if redis.call('TYPE', name).ok == 'hash' then
    local new, old, is = redis.call('HGETALL', ARGV[1] .. name), redis.call('HGETALL', name), {}
    for n = 1, #old, 2 do is[old[n]] = old[n + 1] end
    local equal = #new == #old
    for n = 1, #new, 2 do equal = equal and is[new[n]] == new[n + 1] end
    if equal then
      redis.call('DEL', ARGV[1] .. name)
      same[#same + 1] = number
    end
  end
end
return same
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 0"
KEEP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end return 0"


class ExchangeLost(Exception):
    """Raised when this rebuild went on for so long without a word that another one may be under way."""


class IndexSwap:
    """One rebuild of one organisation's index. Every method raises redis.exceptions.RedisError."""

    def __init__(self, client: redis.asyncio.Redis, stage: str, org_id: str, rebuild_id: str) -> None:
        """Go by an id that no other rebuild has."""
        self._redis = client
        self._org_id = org_id
        self._id = rebuild_id
        self._lock = rebuilding_key(org_id)
        self._prefix = rebuild_prefix(org_id, rebuild_id)
        self._index = RedisIndexWriter(client, stage, 0, self._prefix)
        self._names: set[str] = set()
        """Of keys that may be there, in the index in use or in the new one."""
        self._switch: Any = client.register_script(SWITCH)
        self._prune: Any = client.register_script(PRUNE)
        self._release: Any = client.register_script(RELEASE)
        self._keep: Any = client.register_script(KEEP)

    async def begin(self) -> bool:
        """Take the organisation's place; False where another rebuild has it."""
        return bool(await self._redis.set(self._lock, self._id, nx=True, ex=LOCK_SECONDS))

    async def clear(self) -> None:
        """Remove what rebuilds before left behind, which may take long: see `keeping`. Raises: ExchangeLost."""
        async for page in self._pages(rebuild_prefix(self._org_id)):
            await self._require()  # else it may be another rebuild's, which is under way
            await self._redis.unlink(*page)

    async def restart(self) -> None:
        """Remove what was written of the new index, to write another. Raises: ExchangeLost."""
        await self._require()
        await self._remove(self._prefix)
        self._names.clear()

    async def write(self, changes: list[IndexChange]) -> None:
        """Make changes of the new index. Raises: ExchangeLost."""
        await self._require()
        self._names.update(names_of(changes))
        await self._index.apply(changes, [])

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Keep the organisation's place for as long as the block runs."""
        task = asyncio.create_task(self._keep_on())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            with suppress(ExchangeLost, redis.exceptions.RedisError):  # whoever writes next is told
                await self._require()

    async def _require(self) -> None:
        if not await self._keep(keys=[self._lock], args=[self._id, LOCK_SECONDS]):
            raise ExchangeLost(f"the rebuild of {self._org_id!r} was silent for {LOCK_SECONDS} s; start it again")

    async def note_old(self) -> None:
        """Note which keys there are in the index in use: those that the new one lacks go with the switch."""
        for word in (*SET_KEYS, "record"):
            async for page in self._pages(f"{word}:{{{self._org_id}:"):
                self._names.update(page)
        self._names.add(admins_key(self._org_id))

    async def prune(self) -> None:
        """Take those records' hashes out of the exchange that are the same in both: it takes less time.

        One that is written again after this is in it again, whole.
        """
        names = sorted(name for name in self._names if name.startswith("record:"))
        for start in range(0, len(names), PRUNED):
            chunk = names[start : start + PRUNED]
            same = await self._prune(keys=[], args=[self._prefix, msgspec.msgpack.encode(chunk)])
            self._names.difference_update(chunk[number - 1] for number in same)

    async def hold(self) -> bool:
        """Keep all stages from writing, for `HELD_SECONDS` at most; False where another rebuild does."""
        return bool(await self._redis.set(HELD_KEY, self._id, nx=True, ex=HELD_SECONDS))

    async def release(self) -> None:
        """Let the stages write again, if it is this rebuild that keeps them from it."""
        await self._release(keys=[HELD_KEY], args=[self._id])

    async def switch(self) -> int | None:
        """Put the new index in the place of the old one, at once; return how many keys were put there.

        None: nothing was done, since it is not this rebuild any more that keeps others from writing.
        Harmless to repeat. Redis answers nobody meanwhile: 0.8 s of its processor for 100 000 keys, on two
        busy shared cores.
        """
        names = msgspec.msgpack.encode(sorted(self._names))
        there = int(await self._switch(keys=[HELD_KEY, self._lock], args=[self._id, self._prefix, names]))
        return None if there < 0 else there

    async def end(self) -> None:
        """Release what is held, remove what is left of the new index, and give up the organisation's place."""
        await self.release()
        await self._remove(self._prefix)
        await self._release(keys=[self._lock], args=[self._id])

    async def _remove(self, prefix: str) -> None:
        async for page in self._pages(prefix):
            await self._redis.unlink(*page)

    async def _pages(self, prefix: str) -> AsyncIterator[list[str]]:
        cursor = 0
        while True:
            cursor, keys = await self._redis.scan(cursor, match=f"{prefix}*", count=SCANNED)
            if keys:
                yield list(map(str, keys))
            if not cursor:
                return


def names_of(changes: Iterable[IndexChange]) -> set[str]:
    """Return the keys that changes are made at."""
    names: set[str] = set()
    for change in changes:
        if isinstance(change, AdminsState):
            names.add(admins_key(change.org_id))
        elif isinstance(change, RecordState):
            names.add(record_hash_key(change.org_id, change.object, change.record_id))
        elif isinstance(change, SetChange):
            names.add(SET_KEYS[change.kind](change.org_id, change.user_id, change.object))
    return names
