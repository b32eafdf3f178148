"""What the partial sums on the log say, beside what the deals on the log come to.

Attainments in Redis are compared with the partials; with this they are what all deals that have a
territory come to: the root is the sum over them, per period and category (F1, F2).
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
from territory_admin.consistency.comparison import TOTALLING, DealsComparison, Drift, hash_drift
from territory_admin.consistency.stage_log import StageLog

PartialPlace = tuple[AttainmentKey, int]
"""An attainment, and the partition of deals that adds to it."""


class PartialComparison(DealsComparison[PartialPlace]):
    """What each partition of deals adds to each attainment, and what it froze. An entry is on the log.

    Memory: all partials on the log at once, of every partition and organisation, for as long as it compares: which
    partition a partial is in follows from its attainment, and not from the deals. Some 2 KB each.
    """

    keeps = (FROZEN, read_frozen)

    def __init__(self, log: StageLog, model: Model, partitions: int) -> None:
        self._log = log
        self._org_id = model.org_id
        self._said = {number: AttainmentFold() for number in range(partitions)}
        self._positions: dict[Any, int] = {}

    def subject_of(self, key: str) -> str | None:
        """A deal may be in any sum of its partition."""
        return None

    def subject(self, place: PartialPlace) -> str:
        """Return the partial's key."""
        return partial_key(*place[0], place[1])

    def partition(self, place: PartialPlace, partitions: int) -> int:
        """Return the partition of the deals."""
        return place[1]

    def places(self, fold: PartialSumsFold) -> Iterator[list[PartialPlace]]:
        """Yield each sum of a partition."""
        for key in fold.sums_of(self._org_id):
            yield [((self._org_id, *key), fold.partition)]

    async def found(self) -> AsyncIterator[list[PartialPlace]]:
        """Yield all partials that are said and not void."""
        await self._read_on()
        for fold in self._said.values():
            yield [
                (place, source)
                for place in fold.keys(self._org_id)
                for source, part in fold.parts(place).items()
                if _is_live(part)
            ]

    async def look(self, places: Sequence[PartialPlace]) -> list[dict[str, str]]:
        """Return what is said now; nothing for what is not."""
        await self._read_on()
        found = []
        for place, source in places:
            parts = [part for fold in self._said.values() if (part := fold.parts(place).get(source)) is not None]
            found.append(_figures(parts[0]) if parts and _is_live(parts[0]) else {})
        return found

    def expected(self, fold: PartialSumsFold, place: PartialPlace) -> dict[str, str]:
        """Return what the deals come to."""
        partial = fold.partial(*place[0])
        return _figures(partial) if partial is not None and _is_live(partial) else {}

    def drift(
        self, fold: PartialSumsFold, place: PartialPlace, expected: dict[str, str], seen: dict[str, str]
    ) -> Drift:
        """Name the attainment and the partition, and the figures that differ."""
        (_, *where), source = place
        return hash_drift("partial", f"{' '.join(part for part in where if part)} #{source}", expected, seen)

    async def mend(self, places: Sequence[tuple[PartialSumsFold, PartialPlace]]) -> None:
        """Do nothing: what is on the log only the aggregator says."""

    async def _read_on(self) -> None:
        ends = (await self._log.goal(TOTALLING, self._said)).ends
        starts = {where: self._positions.get(where, 0) for where in ends}

        def take(number: int, message: InputMessage) -> None:
            self._said[number].restore(message)

        await self._log.read(starts, ends, read_partial, take)
        self._positions = dict(ends)


def _is_live(partial: Partial) -> bool:
    """Whether it says anything."""
    return bool(partial.deals) or partial.target is not None or partial.frozen is not None


def _figures(partial: Partial) -> dict[str, str]:
    said = {"deals": str(partial.deals), **_part_figures(partial)}
    if partial.frozen is not None:
        said |= {f"frozen_{name}": figure for name, figure in _part_figures(partial.frozen).items()}
    return said


def _part_figures(part: Partial | FrozenPart) -> dict[str, str]:
    said = {name: text_of(amount) for name, amount in part.sums.items()} | {"deals_won": str(part.deals_won)}
    for name in ("target", "target_mismatch"):
        amount = getattr(part, name)
        said[name] = "" if amount is None else text_of(amount)
    return said
