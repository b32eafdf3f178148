"""Compares attainments in Redis with the totals of the partial sums on the topics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from forecast_aggregator.redis.writer import RedisAttainments, attainment_hash, attainment_pages
from forecast_aggregator.totals.stage import AttainmentFold, AttainmentState
from forecast_aggregator.totals.stage import AttainmentKey as AttainmentEntry
from territory.model.compiled import Model
from territory.wire.events import read_partial
from territory.wire.keys import attainment_hash_key, attainment_key, parse_partial_key
from territory_admin.consistency.comparison import TOTALS, Drift, StoreComparison, hash_drift
from territory_runtime.redis.nodes import Client, Nodes


class AttainmentComparison(StoreComparison[AttainmentEntry]):
    """Compares `attainment:` keys. An entry is the hash of a territory or user in a period."""

    stage = TOTALS

    def __init__(self, client: Client, model: Model) -> None:
        self._redis = client
        self._org_id = model.org_id
        self._store = RedisAttainments(client, TOTALS.name, 0)

    def make_fold(self, partition: int, partitions: int) -> AttainmentFold:
        """Return the fold of the totals, empty."""
        return AttainmentFold()

    def read_event(self, value: bytes) -> Any:
        """Decode a partial sum. Raises: BadMessage."""
        return read_partial(value)

    def subject_of_key(self, key: str) -> str | None:
        """Return the attainment's key; None for a marker that a source publishes all its partials again."""
        place = parse_partial_key(key)
        return None if place is None else attainment_key(*place[:4])

    def subject(self, entry: AttainmentEntry) -> str:
        """Return the attainment's key."""
        return attainment_key(*entry)

    def implied_entries(self, fold: AttainmentFold) -> Iterator[list[AttainmentEntry]]:
        """Yield each attainment."""
        for entry in fold.keys(self._org_id):
            yield [entry]

    def stored_entries(self) -> AsyncIterator[list[AttainmentEntry]]:
        """Yield the hashes of all attainments."""
        return attainment_pages(Nodes(self._redis), {self._org_id})

    async def read_entries(self, entries: Sequence[AttainmentEntry]) -> list[dict[str, str]]:
        """Return the hashes; a missing one is empty."""
        pipeline = self._redis.pipeline(transaction=False)
        for entry in entries:
            pipeline.hgetall(attainment_hash_key(*entry))
        return list(await pipeline.execute()) if entries else []

    def expected(self, fold: AttainmentFold, entry: AttainmentEntry) -> dict[str, str]:
        """Return the hash of the partials' total."""
        attainment = fold.attainment(entry)
        if attainment is None:
            return {}
        parts = [str(part) for part in attainment_hash(attainment)]
        return dict(zip(parts[::2], parts[1::2], strict=True))

    def drift(
        self, fold: AttainmentFold, entry: AttainmentEntry, expected: Mapping[str, str], stored: Mapping[str, str]
    ) -> Drift:
        """Name the attainment, and the figures that differ."""
        return hash_drift("attainment", " ".join(part for part in entry[1:] if part), expected, stored)

    async def repair(self, entries: Sequence[tuple[AttainmentFold, AttainmentEntry]]) -> None:
        """Write the partials' totals."""
        await self._store.apply([AttainmentState(entry, fold.attainment(entry)) for fold, entry in entries], [])
