"""What Redis holds beside what the log implies: who sees what, how territories stand, which deals are on lists.

Each comparison says what a stage's store should hold, given the very fold that the stage decides
with, and finds what it does hold. `verifying.py` does the comparing beside live traffic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from access_indexer.core.drift import EntryValue, IndexEntry, drift_kind, entries_of, expected_at, repair_of
from access_indexer.core.stage import AccessFold
from access_indexer.core.viewers import paths_of
from access_indexer.redis.reader import RedisIndexReader
from access_indexer.redis.writer import RedisIndexWriter
from forecast_aggregator.partials.changes import DealAdjusted, DealLeftOut
from forecast_aggregator.partials.stage import PartialSumsFold, is_deal
from forecast_aggregator.redis.writer import (
    RedisAttainments,
    RedisDeals,
    adjustment_pages,
    adjustment_text,
    attainment_hash,
    attainment_pages,
    left_out_pages,
    left_out_text,
)
from forecast_aggregator.totals.stage import AttainmentFold, AttainmentKey, AttainmentState
from territory.model.compiled import Model
from territory.wire.events import read_assignment, read_frozen, read_partial
from territory.wire.keys import (
    adjustment_field,
    adjustments_key,
    attainment_hash_key,
    attainment_key,
    left_out_key,
    parse_partial_key,
    partition_of,
    record_key,
)
from territory.wire.topics import FROZEN, Topic
from territory_admin.records.wait import PIPELINE, StageGroup
from territory_runtime.loop.stage import Reader
from territory_runtime.redis.nodes import Client, Nodes

P = TypeVar("P", bound=Hashable)

INDEXER, SUMMING, TOTALLING = PIPELINE[2:]


@dataclass(frozen=True, slots=True)
class Drift:
    """One entry of Redis that is not what the log implies."""

    kind: str
    where: str
    """The entry, as one finds it in Redis."""
    why: str
    """What was expected there and what was found."""


class Comparison(ABC, Generic[P]):
    """What the store of one stage should hold, and does. `P` names one of its entries."""

    stage: ClassVar[StageGroup]
    keeps: ClassVar[tuple[Topic, Reader] | None] = None
    """A topic of what the stage remembers beside what it reads, and what reads its messages."""

    @abstractmethod
    def make(self, partition: int, partitions: int) -> Any:
        """Return the stage's fold of a partition, without memory."""

    @abstractmethod
    def read(self, value: bytes) -> Any:
        """Return the event of a message. Raises: BadMessage."""

    def wants(self, key: str) -> bool:
        """Whether a message of a key matters to the stage."""
        return True

    def subject_of(self, key: str) -> str | None:
        """Return what a message speaks of, as `subject` does; None: of anything of the organisation."""
        return key

    @abstractmethod
    def subject(self, place: P) -> str:
        """Return what an entry belongs to: what decides its partition."""

    def partition(self, place: P, partitions: int) -> int:
        """Return the partition that an entry belongs to."""
        return partition_of(self.subject(place), partitions)

    @abstractmethod
    def places(self, fold: Any) -> Iterator[list[P]]:
        """Yield the entries that a fold implies, those of one subject at a time."""

    @abstractmethod
    def found(self) -> AsyncIterator[list[P]]:
        """Yield the entries that there are, in pages, those of all partitions. Raises: RedisError."""

    @abstractmethod
    async def look(self, places: Sequence[P]) -> list[Any]:
        """Return what is at some entries, in their order. Raises: RedisError."""

    @abstractmethod
    def expected(self, fold: Any, place: P) -> Any:
        """Return what has to be at an entry, comparable to what is seen there."""

    @abstractmethod
    def drift(self, fold: Any, place: P, expected: Any, seen: Any) -> Drift:
        """Return how an entry that differs does so."""

    @abstractmethod
    async def mend(self, places: Sequence[tuple[Any, P]]) -> None:
        """Make entries what their folds imply, removals before additions (V8). Raises: RedisError."""


class AccessComparison(Comparison[IndexEntry]):
    """The sets of records that users see, and the hashes of where records stand."""

    stage = INDEXER

    def __init__(self, client: Client, model: Model) -> None:
        self._model = model
        self._look = RedisIndexReader(client)
        self._index = RedisIndexWriter(client, INDEXER.name, 0)

    def make(self, partition: int, partitions: int) -> AccessFold:
        """Return the fold of the stage."""
        return AccessFold(partition, partitions)

    def read(self, value: bytes) -> Any:
        """Return the event of a message. Raises: BadMessage."""
        return read_assignment(value)

    def subject(self, place: IndexEntry) -> str:
        """Return the record's key."""
        return place.key

    def places(self, fold: AccessFold) -> Iterator[list[IndexEntry]]:
        """Yield the hash and the memberships of each record."""
        for key in fold.keys(self._model.org_id):
            access = fold.indexed_access(key)
            if access is not None:
                yield list(entries_of(access))

    def found(self) -> AsyncIterator[list[IndexEntry]]:
        """Yield all members of sets, and all hashes."""
        return self._look.entries({self._model.org_id})

    async def look(self, places: Sequence[IndexEntry]) -> list[EntryValue]:
        """Return whether sets hold ids, and what hashes say."""
        return await self._look.read(places)

    def expected(self, fold: AccessFold, place: IndexEntry) -> EntryValue:
        """Return the same as the fold has it."""
        return expected_at(place, fold.indexed_access(place.key))

    def drift(self, fold: AccessFold, place: IndexEntry, expected: EntryValue, seen: EntryValue) -> Drift:
        """Name the record; of a member, by which paths the user sees it, if by any (V9)."""
        kind = drift_kind(expected, seen)
        record = f"{place.object}/{place.record_id}"
        if place.kind == "record":
            return Drift(str(kind), f"record {record}", f"expected {_fields(expected)}, found {_fields(seen)}")
        where = f"{place.kind} {place.user_id} {record}"
        access = fold.indexed_access(place.key)
        if access is None:
            return Drift(str(kind), where, "the set has it, but the record is gone")
        state = access.record
        paths = paths_of(self._model, place.user_id, state.owner_id, state.territories, access.shared)
        by = "; ".join(map(str, paths)) if paths else "none"
        has = "the set lacks it" if expected else "the set has it"
        return Drift(str(kind), where, f"{has}; paths by which the user sees it: {by}")

    async def mend(self, places: Sequence[tuple[AccessFold, IndexEntry]]) -> None:
        """Make sets and hashes what the log implies."""
        await self._index.apply([repair_of(place, fold.indexed_access(place.key)) for fold, place in places], [])


class AttainmentComparison(Comparison[AttainmentKey]):
    """How territories and people stand: what the partial sums on the log add up to."""

    stage = TOTALLING

    def __init__(self, client: Client, model: Model) -> None:
        self._redis = client
        self._org_id = model.org_id
        self._store = RedisAttainments(client, TOTALLING.name, 0)

    def make(self, partition: int, partitions: int) -> AttainmentFold:
        """Return the fold of the stage."""
        return AttainmentFold()

    def read(self, value: bytes) -> Any:
        """Return the event of a message. Raises: BadMessage."""
        return read_partial(value)

    def subject_of(self, key: str) -> str | None:
        """Return the attainment's key; a source's word that it says all anew is about all."""
        place = parse_partial_key(key)
        return None if place is None else attainment_key(*place[:4])

    def subject(self, place: AttainmentKey) -> str:
        """Return the attainment's key."""
        return attainment_key(*place)

    def places(self, fold: AttainmentFold) -> Iterator[list[AttainmentKey]]:
        """Yield each attainment."""
        for place in fold.keys(self._org_id):
            yield [place]

    def found(self) -> AsyncIterator[list[AttainmentKey]]:
        """Yield all attainments' hashes."""
        return attainment_pages(Nodes(self._redis), {self._org_id})

    async def look(self, places: Sequence[AttainmentKey]) -> list[dict[str, str]]:
        """Return the hashes; empty ones where there is none."""
        pipeline = self._redis.pipeline(transaction=False)
        for place in places:
            pipeline.hgetall(attainment_hash_key(*place))
        return list(await pipeline.execute()) if places else []

    def expected(self, fold: AttainmentFold, place: AttainmentKey) -> dict[str, str]:
        """Return the hash of what the parts add up to."""
        attainment = fold.attainment(place)
        if attainment is None:
            return {}
        parts = [str(part) for part in attainment_hash(attainment)]
        return dict(zip(parts[::2], parts[1::2], strict=True))

    def drift(
        self, fold: AttainmentFold, place: AttainmentKey, expected: Mapping[str, str], seen: Mapping[str, str]
    ) -> Drift:
        """Name the attainment, and the figures that differ."""
        return hash_drift("attainment", " ".join(part for part in place[1:] if part), expected, seen)

    async def mend(self, places: Sequence[tuple[AttainmentFold, AttainmentKey]]) -> None:
        """Write what the parts add up to."""
        await self._store.apply([AttainmentState(place, fold.attainment(place)) for fold, place in places], [])


class DealsComparison(Comparison[P]):
    """What the stage that sums deals should have said of them."""

    stage = SUMMING

    def make(self, partition: int, partitions: int) -> PartialSumsFold:
        """Return the fold of the stage."""
        return PartialSumsFold(partition, partitions)

    def read(self, value: bytes) -> Any:
        """Return the event of a message. Raises: BadMessage."""
        return read_assignment(value)

    def wants(self, key: str) -> bool:
        """Only deals are summed."""
        return is_deal(key)


class DealListComparison(DealsComparison[P]):
    """Deals on a list in Redis: a hash with a text for each."""

    says: ClassVar[str]
    """What the texts are called where they differ."""

    def __init__(self, client: Client, model: Model) -> None:
        self._redis = client
        self._org_id = model.org_id
        self._store = RedisDeals(client, SUMMING.name)

    @property
    @abstractmethod
    def list_key(self) -> str:
        """The key of the list."""

    @abstractmethod
    def name(self, place: P) -> str:
        """Return the name of an entry in the list."""

    @abstractmethod
    def text(self, fold: PartialSumsFold, place: P) -> str | None:
        """Return what a fold has the list say; None: it is not on it."""

    async def look(self, places: Sequence[P]) -> list[dict[str, str]]:
        """Return what is listed; nothing for a deal that is not."""
        names = list(map(self.name, places))
        found = await self._redis.hmget(self.list_key, names) if names else []
        return [self._entry(text) for text in found]

    def expected(self, fold: PartialSumsFold, place: P) -> dict[str, str]:
        """Return the same as the fold has it."""
        return self._entry(self.text(fold, place))

    def _entry(self, text: object) -> dict[str, str]:
        return {} if text is None else {self.says: str(text)}


class LeftOutComparison(DealListComparison[str]):
    """The deals that are in no sum, with the reason (F2, F10). An entry is a deal's id."""

    says = "why"

    @property
    def list_key(self) -> str:
        """The key of the list."""
        return left_out_key(self._org_id)

    def name(self, place: str) -> str:
        """Return the deal's id."""
        return place

    def text(self, fold: PartialSumsFold, place: str) -> str | None:
        """Return the reason."""
        return left_out_text(fold.why_left_out(self._org_id, place))

    def subject(self, place: str) -> str:
        """Return the deal's key."""
        return record_key(self._org_id, "deal", place)

    def places(self, fold: PartialSumsFold) -> Iterator[list[str]]:
        """Yield each deal that is in no sum."""
        for deal_id in fold.deals(self._org_id):
            if fold.why_left_out(self._org_id, deal_id) is not None:
                yield [deal_id]

    def found(self) -> AsyncIterator[list[str]]:
        """Yield all deals that are listed."""
        return left_out_pages(self._redis, self._org_id)

    def drift(self, fold: PartialSumsFold, place: str, expected: Mapping[str, str], seen: Mapping[str, str]) -> Drift:
        """Name the deal, and the reasons."""
        return hash_drift("left_out", f"deal/{place}", expected, seen)

    async def mend(self, places: Sequence[tuple[PartialSumsFold, str]]) -> None:
        """Put deals on the list or take them off."""
        await self._store.apply(
            [DealLeftOut(self._org_id, deal, fold.why_left_out(self._org_id, deal)) for fold, deal in places], []
        )


AdjustmentPlace = tuple[str, str]
"""A closed period, and a deal's id."""


class AdjustmentComparison(DealListComparison[AdjustmentPlace]):
    """The deals that count for something else since a period was closed (F12)."""

    keeps = (FROZEN, read_frozen)
    says = "says"

    @property
    def list_key(self) -> str:
        """The key of the list."""
        return adjustments_key(self._org_id)

    def name(self, place: AdjustmentPlace) -> str:
        """Return period and deal as one."""
        return adjustment_field(*place)

    def text(self, fold: PartialSumsFold, place: AdjustmentPlace) -> str | None:
        """Return what the deal counted for, and counts for now."""
        return adjustment_text(fold.adjustment(self._org_id, *place))

    def subject(self, place: AdjustmentPlace) -> str:
        """Return the deal's key."""
        return record_key(self._org_id, "deal", place[1])

    def places(self, fold: PartialSumsFold) -> Iterator[list[AdjustmentPlace]]:
        """Yield the adjustments of each deal."""
        yield from fold.adjusted(self._org_id)

    def found(self) -> AsyncIterator[list[AdjustmentPlace]]:
        """Yield all that are listed."""
        return adjustment_pages(self._redis, self._org_id)

    def drift(
        self, fold: PartialSumsFold, place: AdjustmentPlace, expected: Mapping[str, str], seen: Mapping[str, str]
    ) -> Drift:
        """Name the period and the deal, and what is said of it."""
        return hash_drift("adjustment", f"{place[0]} deal/{place[1]}", expected, seen)

    async def mend(self, places: Sequence[tuple[PartialSumsFold, AdjustmentPlace]]) -> None:
        """Put deals on the list or take them off."""
        changes = [
            DealAdjusted(self._org_id, period, deal, fold.adjustment(self._org_id, period, deal))
            for fold, (period, deal) in places
        ]
        await self._store.apply(changes, [])


def hash_drift(word: str, name: str, expected: Mapping[str, str], seen: Mapping[str, str]) -> Drift:
    """Return how an entry of named figures differs."""
    where = f"{word} {name}"
    if not seen:
        return Drift(f"missing_{word}", where, f"expected {_fields(expected)}, found nothing")
    if not expected:
        return Drift(f"stray_{word}", where, f"expected nothing, found {_fields(seen)}")
    differing = [name for name in sorted(expected.keys() | seen.keys()) if expected.get(name) != seen.get(name)]
    said = ", ".join(f"{name} {expected.get(name)!r}, found {seen.get(name)!r}" for name in differing)
    return Drift(f"wrong_{word}", where, f"expected {said}")


def _fields(hash_of: Mapping[str, str] | bool) -> str:
    if isinstance(hash_of, bool) or not hash_of:
        return "nothing"
    return ", ".join(f"{name} {value}" for name, value in hash_of.items())
