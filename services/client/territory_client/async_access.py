"""The asyncio client: the same questions and answers as in `access.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import redis.asyncio

from territory_client.answers import Explanation, Freshness, Level, ObjectType, Page
from territory_client.errors import FAULTS, IndexBehind, unknown
from territory_client.questions import PAGE_RECORDS, AnswerT, Question, Questions
from territory_client.waiting import Clock, Patience


class AsyncAccess:
    """Asks who sees what in one organisation. `Access` documents each method.

    Takes any client of `redis.asyncio`; the app keeps and closes it.

    >>> async def main() -> bool:
    ...     async with redis.asyncio.Redis.from_url(REDIS_URL) as client:
    ...         return await AsyncAccess(client, "acme").can_see("u7", "account", "A-1")
    >>> asyncio.run(main())
    True
    """

    def __init__(
        self,
        client: redis.asyncio.Redis | redis.asyncio.RedisCluster,
        org_id: str,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Raises: ValueError if the id is not a valid organisation id. Clock and sleep serve `within`."""
        self._redis = client
        self._questions = Questions(org_id)
        self._clock, self._sleep = clock, sleep

    async def can_see(
        self,
        user_id: str,
        object_type: ObjectType,
        record_id: str,
        *,
        at_least: int | None = None,
        within: float = 0,
    ) -> bool:
        """Return whether a user may read a record (V1). Waiting for a version does not block the event loop (V8)."""
        await self._await(object_type, record_id, at_least, within)
        return await self._ask(self._questions.may("read", user_id, object_type, record_id))

    async def can_edit(
        self,
        user_id: str,
        object_type: ObjectType,
        record_id: str,
        *,
        at_least: int | None = None,
        within: float = 0,
    ) -> bool:
        """Return whether a user may edit a record (V3)."""
        await self._await(object_type, record_id, at_least, within)
        return await self._ask(self._questions.may("edit", user_id, object_type, record_id))

    async def filter_visible(
        self, user_id: str, object_type: ObjectType, record_ids: Iterable[str], *, level: Level = "read"
    ) -> list[str]:
        """Return the records of a list that a user sees, in the given order."""
        return await self._ask(self._questions.filtered(level, user_id, object_type, list(record_ids)))

    async def visible(
        self,
        user_id: str,
        object_type: ObjectType,
        cursor: int = 0,
        count: int = PAGE_RECORDS,
        *,
        level: Level = "read",
    ) -> Page:
        """Return a page of the records that a user sees, from a cursor on; 0 is the first page."""
        return await self._ask(self._questions.page(level, user_id, object_type, cursor, count))

    async def count(self, user_id: str, object_type: ObjectType, *, level: Level = "read") -> int | None:
        """Return how many records a user sees; None for an administrator, who sees all."""
        return await self._ask(self._questions.size(level, user_id, object_type))

    async def viewers(
        self, object_type: ObjectType, record_id: str, among: Iterable[str], *, level: Level = "read"
    ) -> list[str]:
        """Return the users of a list who see a record, in the given order."""
        return await self._ask(self._questions.viewers(level, object_type, record_id, list(among)))

    async def explain(self, user_id: str, object_type: ObjectType, record_id: str) -> Explanation:
        """Return the part of an explanation that Redis alone can give (V9)."""
        return await self._ask(self._questions.explained(user_id, object_type, record_id))

    async def freshness(self) -> Freshness:
        """Return the progress of the index (V8), in total and by partition of `territory.assignments.v1`."""
        return await self._ask(self._questions.freshness())

    async def _await(self, object_type: ObjectType, record_id: str, at_least: int | None, within: float) -> None:
        if at_least is None:
            return
        question, patience = self._questions.as_new_as(object_type, record_id, at_least), Patience(within, self._clock)
        while True:
            try:
                await self._ask(question)
            except IndexBehind:
                pause = patience.pause()
                if pause is None:
                    raise
                await self._sleep(pause)
            else:
                return

    async def _ask(self, question: Question[AnswerT]) -> AnswerT:
        pipeline = self._redis.pipeline(transaction=False)
        for command in question.commands:
            pipeline.execute_command(*command)
        try:
            replies = await pipeline.execute()
        except FAULTS as fault:
            raise unknown(fault) from fault
        return question.read(replies)
