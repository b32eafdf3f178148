"""Compares the lists of deals that are left out of sums, or adjusted after a period was closed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from forecast_aggregator.partials.changes import DealAdjusted, DealLeftOut
from forecast_aggregator.partials.stage import PartialSumsFold, is_deal
from forecast_aggregator.redis.writer import (
    RedisDeals,
    adjustment_pages,
    adjustment_text,
    left_out_pages,
    left_out_text,
)
from territory.model.compiled import Model
from territory.wire.events import read_assignment, read_frozen
from territory.wire.keys import adjustment_field, adjustments_key, left_out_key, record_key
from territory.wire.topics import FROZEN
from territory_admin.consistency.comparison import PARTIAL_SUMS, Drift, Entry, StoreComparison, hash_drift
from territory_runtime.redis.nodes import Client


class DealsComparison(StoreComparison[Entry]):
    """Compares output of the stage that sums deals by partition."""

    stage = PARTIAL_SUMS

    def make_fold(self, partition: int, partitions: int) -> PartialSumsFold:
        """Return the fold of the partial sums, empty."""
        return PartialSumsFold(partition, partitions)

    def read_event(self, value: bytes) -> Any:
        """Decode an assignment. Raises: BadMessage."""
        return read_assignment(value)

    def wants(self, key: str) -> bool:
        """Whether a key is a deal's: only deals are summed."""
        return is_deal(key)


class DealListComparison(DealsComparison[Entry]):
    """Compares a list of deals: a hash in Redis with a text for each deal."""

    figure: ClassVar[str]
    """The name of the texts in a description of drift."""

    def __init__(self, client: Client, model: Model) -> None:
        self._redis = client
        self._org_id = model.org_id
        self._store = RedisDeals(client, PARTIAL_SUMS.name)

    @property
    @abstractmethod
    def list_key(self) -> str:
        """The key of the hash."""

    @abstractmethod
    def field(self, entry: Entry) -> str:
        """Return the field of an entry in the hash."""

    @abstractmethod
    def text(self, fold: PartialSumsFold, entry: Entry) -> str | None:
        """Return the text that a fold implies; None if the deal is not on the list."""

    async def read_entries(self, entries: Sequence[Entry]) -> list[dict[str, str]]:
        """Return the listed texts; an empty value for a deal that is not listed."""
        names = list(map(self.field, entries))
        found = await self._redis.hmget(self.list_key, names) if names else []
        return [self._value(text) for text in found]

    def expected(self, fold: PartialSumsFold, entry: Entry) -> dict[str, str]:
        """Return the text that the fold implies."""
        return self._value(self.text(fold, entry))

    def _value(self, text: object) -> dict[str, str]:
        return {} if text is None else {self.figure: str(text)}


class LeftOutComparison(DealListComparison[str]):
    """Compares the deals that are in no sum, with the reason (F2, F10). An entry is a deal's id."""

    figure = "why"

    @property
    def list_key(self) -> str:
        """The key of the hash."""
        return left_out_key(self._org_id)

    def field(self, entry: str) -> str:
        """Return the deal's id."""
        return entry

    def text(self, fold: PartialSumsFold, entry: str) -> str | None:
        """Return the reason."""
        return left_out_text(fold.why_left_out(self._org_id, entry))

    def subject(self, entry: str) -> str:
        """Return the deal's key."""
        return record_key(self._org_id, "deal", entry)

    def implied_entries(self, fold: PartialSumsFold) -> Iterator[list[str]]:
        """Yield each deal that is in no sum."""
        for deal_id in fold.deals(self._org_id):
            if fold.why_left_out(self._org_id, deal_id) is not None:
                yield [deal_id]

    def stored_entries(self) -> AsyncIterator[list[str]]:
        """Yield all deals that are listed."""
        return left_out_pages(self._redis, self._org_id)

    def drift(self, fold: PartialSumsFold, entry: str, expected: Mapping[str, str], stored: Mapping[str, str]) -> Drift:
        """Name the deal, and the reasons."""
        return hash_drift("left_out", f"deal/{entry}", expected, stored)

    async def repair(self, entries: Sequence[tuple[PartialSumsFold, str]]) -> None:
        """Add deals to the list or remove them."""
        await self._store.apply(
            [DealLeftOut(self._org_id, deal, fold.why_left_out(self._org_id, deal)) for fold, deal in entries], []
        )


AdjustmentEntry = tuple[str, str]
"""A closed period, and a deal's id."""


class AdjustmentComparison(DealListComparison[AdjustmentEntry]):
    """Compares the deals that count for something else since a period was closed (F12)."""

    own_state = (FROZEN, read_frozen)
    figure = "says"

    @property
    def list_key(self) -> str:
        """The key of the hash."""
        return adjustments_key(self._org_id)

    def field(self, entry: AdjustmentEntry) -> str:
        """Return the field that names period and deal."""
        return adjustment_field(*entry)

    def text(self, fold: PartialSumsFold, entry: AdjustmentEntry) -> str | None:
        """Return what the deal counted for when the period was closed, and counts for now."""
        return adjustment_text(fold.adjustment(self._org_id, *entry))

    def subject(self, entry: AdjustmentEntry) -> str:
        """Return the deal's key."""
        return record_key(self._org_id, "deal", entry[1])

    def implied_entries(self, fold: PartialSumsFold) -> Iterator[list[AdjustmentEntry]]:
        """Yield the adjustments of each deal."""
        yield from fold.adjusted(self._org_id)

    def stored_entries(self) -> AsyncIterator[list[AdjustmentEntry]]:
        """Yield all adjustments that are listed."""
        return adjustment_pages(self._redis, self._org_id)

    def drift(
        self, fold: PartialSumsFold, entry: AdjustmentEntry, expected: Mapping[str, str], stored: Mapping[str, str]
    ) -> Drift:
        """Name the period and the deal, and both texts."""
        return hash_drift("adjustment", f"{entry[0]} deal/{entry[1]}", expected, stored)

    async def repair(self, entries: Sequence[tuple[PartialSumsFold, AdjustmentEntry]]) -> None:
        """Add adjustments to the list or remove them."""
        changes = [
            DealAdjusted(self._org_id, period, deal, fold.adjustment(self._org_id, period, deal))
            for fold, (period, deal) in entries
        ]
        await self._store.apply(changes, [])
