"""Compares the partial sums on the topics with the deals on the topics.

Attainments in Redis are compared with the partial sums. Together, both comparisons prove that a root's
attainment is the sum over all deals that have a territory, by period and category (F1, F2).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from forecast_aggregator.partials.stage import PartialSumsFold
from forecast_aggregator.totals.stage import AttainmentFold, AttainmentKey
from territory.model.compiled import Model
from territory.money import text_of
from territory.stage import InputMessage
from territory.wire.events import FrozenPart, Partial, read_frozen, read_partial
from territory.wire.keys import partial_key
from territory.wire.topics import FROZEN
from territory_admin.consistency.comparison import TOTALS, Drift, hash_drift
from territory_admin.consistency.deal_comparisons import DealsComparison
from territory_admin.consistency.stage_log import StageLog

PartialEntry = tuple[AttainmentKey, int]
"""An attainment, and the partition of deals that adds to it."""


class PartialComparison(DealsComparison[PartialEntry]):
    """Compares what each partition of deals adds to each attainment, and what it froze. An entry is a message.

    Memory: all partial sums of every partition and organisation, some 2 KB each, for as long as it compares.
    The partition of a partial sum follows from its attainment, and not from its deals.
    """

    own_state = (FROZEN, read_frozen)

    def __init__(self, log: StageLog, model: Model, partitions: int) -> None:
        self._log = log
        self._org_id = model.org_id
        self._published = {number: AttainmentFold() for number in range(partitions)}
        self._positions: dict[Any, int] = {}

    def subject_of_key(self, key: str) -> str | None:
        """Return None: a deal may be in any sum of its partition."""
        return None

    def subject(self, entry: PartialEntry) -> str:
        """Return the partial sum's key."""
        return partial_key(*entry[0], entry[1])

    def partition(self, entry: PartialEntry, partitions: int) -> int:
        """Return the partition of the deals."""
        return entry[1]

    def implied_entries(self, fold: PartialSumsFold) -> Iterator[list[PartialEntry]]:
        """Yield each sum of a partition."""
        for key in fold.sums_of(self._org_id):
            yield [((self._org_id, *key), fold.partition)]

    async def stored_entries(self) -> AsyncIterator[list[PartialEntry]]:
        """Yield all partial sums on the topic that are not empty."""
        await self._read_on()
        for fold in self._published.values():
            yield [
                (place, source)
                for place in fold.keys(self._org_id)
                for source, part in fold.parts(place).items()
                if not _is_empty(part)
            ]

    async def read_entries(self, entries: Sequence[PartialEntry]) -> list[dict[str, str]]:
        """Return the published figures; an empty value for an absent partial sum."""
        await self._read_on()
        found = []
        for place, source in entries:
            parts = [part for fold in self._published.values() if (part := fold.parts(place).get(source)) is not None]
            found.append(_figures(parts[0]) if parts and not _is_empty(parts[0]) else {})
        return found

    def expected(self, fold: PartialSumsFold, entry: PartialEntry) -> dict[str, str]:
        """Return the sums of the deals."""
        partial = fold.partial(*entry[0])
        return _figures(partial) if partial is not None and not _is_empty(partial) else {}

    def drift(
        self, fold: PartialSumsFold, entry: PartialEntry, expected: dict[str, str], stored: dict[str, str]
    ) -> Drift:
        """Name the attainment and the partition, and the figures that differ."""
        (_, *where), source = entry
        return hash_drift("partial", f"{' '.join(part for part in where if part)} #{source}", expected, stored)

    async def repair(self, entries: Sequence[tuple[PartialSumsFold, PartialEntry]]) -> None:
        """Do nothing: only the forecast aggregator publishes partial sums."""

    async def _read_on(self) -> None:
        ends = (await self._log.goal(TOTALS, self._published)).ends
        starts = {where: self._positions.get(where, 0) for where in ends}

        def take(number: int, message: InputMessage) -> None:
            self._published[number].restore(message)

        await self._log.read(starts, ends, read_partial, take)
        self._positions = dict(ends)


def _is_empty(partial: Partial) -> bool:
    """Whether it adds nothing: no deals, no target, nothing frozen."""
    return not partial.deals and partial.target is None and partial.frozen is None


def _figures(partial: Partial) -> dict[str, str]:
    figures = {"deals": str(partial.deals), **_part_figures(partial)}
    if partial.frozen is not None:
        figures |= {f"frozen_{name}": figure for name, figure in _part_figures(partial.frozen).items()}
    return figures


def _part_figures(part: Partial | FrozenPart) -> dict[str, str]:
    figures = {name: text_of(amount) for name, amount in part.sums.items()} | {"deals_won": str(part.deals_won)}
    for name in ("target", "target_mismatch"):
        amount = getattr(part, name)
        figures[name] = "" if amount is None else text_of(amount)
    return figures
