"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import redis

from territory_client.answers import Explanation, Freshness, Level, ObjectType, Page
from territory_client.errors import FAULTS, IndexBehind, unknown
from territory_client.questions import PAGE_RECORDS, AnswerT, Question, Questions
from territory_client.round_trip import sent
from territory_client.waiting import Clock, Patience


class Access:
    """Asks who sees what in one organisation.

    Takes any client of redis-py: `redis.Redis`, a Sentinel client (`Sentinel.master_for`) or `redis.RedisCluster`,
    with or without `decode_responses`. The app keeps and closes it.

    Administrators see and edit everything and have no sets. So an answer about an administrator does not show
    whether a record exists.

    Every method is one round trip unless it says otherwise. It raises ValueError for an unknown object or level,
    and AccessUnknown (IndexUnavailable, IndexRefused) if Redis gives no answer.

    >>> access = Access(redis.Redis.from_url(REDIS_URL), "acme")
    >>> access.can_see("u7", "account", "A-1")
    True
    """

    def __init__(
        self,
        client: redis.Redis | redis.RedisCluster,
        org_id: str,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises: ValueError if the id is not a valid organisation id. Clock and sleep serve `within`."""
        self._redis = client
        self._questions = Questions(org_id)
        self._clock, self._sleep = clock, sleep

    def can_see(
        self,
        user_id: str,
        object_type: ObjectType,
        record_id: str,
        *,
        at_least: int | None = None,
        within: float = 0,
    ) -> bool:
        """Return whether a user may read a record (V1).

        Args:
            user_id: The user's id in the model.
            object_type: The record's object.
            record_id: The record's id.
            at_least: A version of the record that the answer must include (V8), such as one just published.
                Costs a second round trip. Raises: IndexBehind while the index is older; always for a deleted
                record, since the index has no version of it.
            within: Seconds to wait for that version before IndexBehind is raised. The client asks again after
                pauses of 2 to 50 ms. A fault of Redis ends the wait.

        >>> access.can_see("u7", "account", "A-2"), access.can_see("root", "account", "A-2")
        (False, True)
        >>> access.can_see("u7", "account", "A-1", at_least=3)
        True
        >>> access.can_see("u7", "account", "A-1", at_least=4)
        Traceback (most recent call last):
        territory_client.errors.IndexBehind: record:{acme:account:A-1} is at version 3, asked for 4 or later; ask again
        >>> access.can_see("u7", "account", "A-1", at_least=3, within=2)
        True
        """
        self._await(object_type, record_id, at_least, within)
        return self._ask(self._questions.may("read", user_id, object_type, record_id))

    def can_edit(
        self,
        user_id: str,
        object_type: ObjectType,
        record_id: str,
        *,
        at_least: int | None = None,
        within: float = 0,
    ) -> bool:
        """Return whether a user may edit a record (V3); `at_least` and `within` as in `can_see`.

        >>> access.can_edit("u7", "account", "A-1"), access.can_edit("u7", "account", "A-3")
        (True, False)
        """
        self._await(object_type, record_id, at_least, within)
        return self._ask(self._questions.may("edit", user_id, object_type, record_id))

    def filter_visible(
        self, user_id: str, object_type: ObjectType, record_ids: Iterable[str], *, level: Level = "read"
    ) -> list[str]:
        """Return the records of a list that a user sees, in the given order.

        >>> access.filter_visible("u7", "account", ["A-3", "A-2", "A-1"])
        ['A-3', 'A-1']
        >>> access.filter_visible("u7", "account", ["A-3", "A-2", "A-1"], level="edit")
        ['A-1']
        """
        return self._ask(self._questions.filtered(level, user_id, object_type, list(record_ids)))

    def visible(
        self,
        user_id: str,
        object_type: ObjectType,
        cursor: int = 0,
        count: int = PAGE_RECORDS,
        *,
        level: Level = "read",
    ) -> Page:
        """Return a page of the records that a user sees, from a cursor on; 0 is the first page.

        A page has about `count` records, sometimes more or none; the last one has no `next_cursor`.
        A record that stays visible is on at least one page, and can be on two.

        >>> page = access.visible("u7", "account")
        >>> sorted(page.ids), page.next_cursor
        (['A-1', 'A-3'], None)
        >>> access.visible("root", "account").everything
        True
        """
        return self._ask(self._questions.page(level, user_id, object_type, cursor, count))

    def count(self, user_id: str, object_type: ObjectType, *, level: Level = "read") -> int | None:
        """Return how many records a user sees; None for an administrator, who sees all.

        >>> access.count("u7", "account"), access.count("u7", "account", level="edit"), access.count("root", "account")
        (2, 1, None)
        """
        return self._ask(self._questions.size(level, user_id, object_type))

    def viewers(
        self, object_type: ObjectType, record_id: str, among: Iterable[str], *, level: Level = "read"
    ) -> list[str]:
        """Return the users of a list who see a record, in the given order.

        Redis stores records by user, so this sends one command a user: pass some hundreds at once.
        `territory viewers` finds all users who see a record, from the log.

        >>> access.viewers("account", "A-2", among=["u7", "u8", "root"])
        ['u8', 'root']
        """
        return self._ask(self._questions.viewers(level, object_type, record_id, list(among)))

    def explain(self, user_id: str, object_type: ObjectType, record_id: str) -> Explanation:
        """Return the part of an explanation that Redis alone can give (V9).

        That is the level, whether the user is an administrator or the owner, and the record's territories.
        `territory explain access` also shows by which territory, role or sharing rule the user sees the record;
        `territory explain assignment` shows why the record is in a territory.

        >>> found = access.explain("u7", "account", "A-1")
        >>> found.level, found.is_owner, found.record.territories
        ('edit', True, ('us-west',))
        """
        return self._ask(self._questions.explained(user_id, object_type, record_id))

    def freshness(self) -> Freshness:
        """Return the progress of the index (V8), in total and by partition of `territory.assignments.v1`.

        Use it after a change of the model: `territory apply` prints the revision, and once `model_revision` has
        reached it, every answer is under that model. For one record use `at_least`.

        >>> found = access.freshness()
        >>> found.model_revision, found.partitions[0].offset, found.partitions[0].model_revision
        (4, 12, 4)
        """
        return self._ask(self._questions.freshness())

    def _await(self, object_type: ObjectType, record_id: str, at_least: int | None, within: float) -> None:
        if at_least is None:
            return
        question, patience = self._questions.as_new_as(object_type, record_id, at_least), Patience(within, self._clock)
        while True:
            try:
                self._ask(question)
            except IndexBehind:
                pause = patience.pause()
                if pause is None:
                    raise
                self._sleep(pause)
            else:
                return

    def _ask(self, question: Question[AnswerT]) -> AnswerT:
        try:
            replies = sent(self._redis, question.commands)
        except FAULTS as fault:
            raise unknown(fault) from fault
        return question.read(replies)
