"""Whether Redis still holds what this worker has said, looked at a little all the time.

Two walks go on for ever: over the records that this worker holds, to see that their hashes and
memberships are there; and over what Redis holds, for what should not be. What differs while no
turn is under way is looked at once more some seconds later, since `territory verify --repair` and
`rebuild` may know of messages that this worker has yet to take. What still differs is counted.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress

import redis.exceptions
import structlog

from access_indexer.core.drift import DriftKind, Place, expected_at, kind_of, places_of
from access_indexer.core.stage import AccessFold
from access_indexer.redis.reader import RedisIndexReader
from territory.wire.keys import parse_record_hash_key, parse_set_key, partition_of
from territory_runtime import metrics
from territory_runtime.background_task import BackgroundTask
from territory_runtime.loop.task_loop import TaskLoop
from territory_runtime.redis.nodes import Client, KeyWalk, Nodes

log = structlog.get_logger("territory")

STEP_SECONDS = 0.2
AGAIN_SECONDS = 10.0
"""After so long what differed is looked at again."""
LOOKED_AT_MAX = 500
"""Entries in one look: some milliseconds, in which no turn begins."""
SUSPECTS_MAX = 2_000

Folds = Mapping[int, AccessFold]


class Watch:
    """Where the two walks are, and what is suspected."""

    def __init__(self, client: Client, partitions: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._walk = KeyWalk(Nodes(client))
        self._look = RedisIndexReader(client)
        self._partitions = partitions
        self._clock = clock
        self._orgs: deque[tuple[int, str]] = deque()
        self._keys: list[str] = []
        self._due: deque[Place] = deque()
        self._sets: deque[tuple[str, int]] = deque()
        self._suspects: deque[tuple[float, Place]] = deque()

    async def found(self, count: int) -> list[Place]:
        """Return about so many of the entries that Redis holds, where the walk over them is."""
        if self._sets:
            key, cursor = self._sets.popleft()
            cursor, places = await self._look.members(key, cursor, count)
            if cursor:
                self._sets.appendleft((key, cursor))
            return places
        places = []
        for key in await self._walk.page(count):
            with suppress(ValueError):  # another's key that begins like ours
                if key.startswith("record:{"):
                    places.append(Place("record", *parse_record_hash_key(key)))
                elif key.startswith(("visible:{", "editable:{")):
                    parse_set_key(key)
                    self._sets.append((key, 0))
        return places

    async def step(self, folds: Folds, found: list[Place], count: int) -> Counter[DriftKind]:
        """Look at so many records, at what was found, and again at what differed; count what is wrong by kind.

        No turn may be under way. Raises: redis.exceptions.RedisError.
        """
        self._take_records(folds, count)
        now = self._clock()
        again: list[Place] = []
        while self._suspects and now - self._suspects[0][0] >= AGAIN_SECONDS and len(again) < LOOKED_AT_MAX:
            again.append(self._suspects.popleft()[1])
        due = [self._due.popleft() for _ in range(min(LOOKED_AT_MAX, len(self._due)))]
        metrics.INDEX_COMPARED.inc(len(found) + len(due))
        for place, _ in await self._differing(folds, [*found, *due]):
            if len(self._suspects) < SUSPECTS_MAX:
                self._suspects.append((now, place))
        return self._wrong(await self._differing(folds, again))

    def _wrong(self, differing: list[tuple[Place, DriftKind]]) -> Counter[DriftKind]:
        counts = Counter(kind for _, kind in differing)
        for kind, count in counts.items():
            metrics.INDEX_DRIFT.labels(kind=kind).inc(count)
        if differing:
            place, kind = differing[0]
            log.warning("the index is not what was said", counts=counts, kind=kind, entry=tuple(place))
        return counts

    def _take_records(self, folds: Folds, count: int) -> None:
        """Put so many records' entries on the list, and not much more than one look can see."""
        for _ in range(count):
            if len(self._due) >= LOOKED_AT_MAX:
                return
            if not self._keys and not self._next_keys(folds):
                return
            key = self._keys.pop()
            fold = folds.get(partition_of(key, self._partitions))
            standing = None if fold is None else fold.standing(key)
            if standing is not None:
                self._due.extend(places_of(standing))

    def _next_keys(self, folds: Folds) -> bool:
        """Go on to the next organisation of a partition, from the first again after the last; whether there is one."""
        if not self._orgs:
            self._orgs.extend((number, org_id) for number in sorted(folds) for org_id in folds[number].orgs())
        while self._orgs and not self._keys:
            number, org_id = self._orgs.popleft()
            if number in folds:  # else it went to another worker
                self._keys = folds[number].keys(org_id)
        return bool(self._keys)

    async def _differing(self, folds: Folds, places: list[Place]) -> list[tuple[Place, DriftKind]]:
        mine: list[tuple[AccessFold, Place]] = []
        for place in places:
            fold = folds.get(partition_of(place.key, self._partitions))
            if fold is not None and fold.is_said(place.org_id):
                mine.append((fold, place))
        seen = await self._look.at([place for _, place in mine])
        found: list[tuple[Place, DriftKind]] = []
        for (fold, place), there in zip(mine, seen, strict=True):
            kind = kind_of(expected_at(place, fold.standing(place.key)), there)
            if kind is not None:
                found.append((place, kind))
        return found


class DriftMonitor(BackgroundTask):
    """Keeps looking, at so many records a second."""

    def __init__(self, loop: TaskLoop, client: Client, partitions: int, per_second: float) -> None:
        super().__init__(per_second, STEP_SECONDS)
        self._stage = loop
        self._watch = Watch(client, partitions)

    async def look(self, count: int) -> None:
        """Go on with both walks; what is compared with the folds is, between two turns."""
        try:
            found = await self._watch.found(count)

            async def step(folds: Folds) -> None:
                await self._watch.step(folds, found, count)

            await self._stage.between_batches(step)
        except (redis.exceptions.RedisError, redis.exceptions.RedisClusterException) as fault:
            # What is away the stage waits for; what was found comes round again.
            log.warning("the index is not looked at", fault=f"{type(fault).__name__}: {fault}")
