"""The client, one call at a time."""

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
    """Who sees what in one organisation.

    Takes any client of redis-py: `redis.Redis`, one that Sentinel gives (`Sentinel.master_for`), or
    `redis.RedisCluster`, with or without `decode_responses`. It stays the app's: nobody else closes it.

    Administrators see and edit everything and have no sets of their own, so no answer about them
    says whether a record exists.

    Every method is one round trip, unless it says otherwise, and raises ValueError for an object or
    level that there is not, and AccessUnknown where it can't be said: IndexUnavailable, IndexRefused.

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
        """Raise ValueError for an id that no organisation can have; clock and sleep are for `within`."""
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
            user_id: The user, as the model names it.
            object_type: The record's object.
            record_id: The record's id.
            at_least: A version of the record that the answer must know of (V8): what the app has
                just published, say. It takes a second round trip. Raises: IndexBehind, until then;
                of a deleted record always, since the index has no version of it.
            within: How many seconds to wait for that version, asking again after pauses of 2 to 50 ms,
                before IndexBehind is raised. An answer of Redis takes its own time; a fault ends the wait.

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
        """Return those of a page of records that a user sees, in their order.

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
        """Return a page of the records that a user sees, beginning at a cursor; 0 is the beginning.

        A page has about `count` records, and can have more or none; the last one has no `next_cursor`.
        While records come and go, one that stays is on some page; it can be on two.

        >>> page = access.visible("u7", "account")
        >>> sorted(page.ids), page.next_cursor
        (['A-1', 'A-3'], None)
        >>> access.visible("root", "account").everything
        True
        """
        return self._ask(self._questions.page(level, user_id, object_type, cursor, count))

    def count(self, user_id: str, object_type: ObjectType, *, level: Level = "read") -> int | None:
        """Return how many records a user sees; None: an administrator, who sees all that there are.

        >>> access.count("u7", "account"), access.count("u7", "account", level="edit"), access.count("root", "account")
        (2, 1, None)
        """
        return self._ask(self._questions.size(level, user_id, object_type))

    def viewers(
        self, object_type: ObjectType, record_id: str, among: Iterable[str], *, level: Level = "read"
    ) -> list[str]:
        """Return those of some users who see a record, in their order.

        Redis knows records by user, not users by record: one command a user goes out, so give some
        hundreds at once. `territory viewers` finds all users who see a record, from the log.

        >>> access.viewers("account", "A-2", among=["u7", "u8", "root"])
        ['u8', 'root']
        """
        return self._ask(self._questions.viewers(level, object_type, record_id, list(among)))

    def explain(self, user_id: str, object_type: ObjectType, record_id: str) -> Explanation:
        """Return what Redis alone can tell of why a user sees a record (V9).

        That is the level, whether the user is an administrator or the record's owner, and which
        territories the record is in. By which territory, role or sharing rule a user sees it,
        and why the record is in a territory, takes the model: `territory explain access` and
        `territory explain assignment` say it.

        >>> found = access.explain("u7", "account", "A-1")
        >>> found.level, found.is_owner, found.record.territories
        ('edit', True, ('us-west',))
        """
        return self._ask(self._questions.explained(user_id, object_type, record_id))

    def freshness(self) -> Freshness:
        """Return how far the index is (V8), by partition of `territory.assignments.v1` and on the whole.

        That is for who operates an app, and for a change of the model, which `territory apply` gives
        a revision: once `model_revision` has come to it every answer is under it. Of one record
        `at_least` knows more.

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
