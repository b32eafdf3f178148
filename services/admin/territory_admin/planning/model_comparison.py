"""Compares the records of an organisation under two models: assignments, access and forecast sums; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from access_indexer.core.record_table import attributes_of
from access_indexer.core.viewers import NOBODY, AccessPolicy, Viewers
from forecast_aggregator.partials.cells import Cells
from forecast_aggregator.partials.contribution import Contribution, LeftOut, contribution_of
from territory.model.compiled import Model
from territory.model.document import ObjectType
from territory.money import ZERO, text_of
from territory.wire.events import SUMS, Assignment
from territory_admin.planning.emptied import EmptiedTerritory, emptied_territories

MEASURES = tuple(name for name in SUMS if name != "won_by_others")


@dataclass(frozen=True, slots=True)
class MovedRecord:
    """A record that would be in other territories."""

    object: ObjectType
    id: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TerritoryChange:
    """The records that a territory would gain and lose."""

    territory_id: str
    records_before: int
    records_after: int
    come: int
    leave: int


@dataclass(frozen=True, slots=True)
class UserChange:
    """How many records a user would newly see or edit, and no longer see or edit."""

    user_id: str
    sees_more: int
    sees_less: int
    edits_more: int
    edits_less: int


@dataclass(frozen=True, slots=True)
class SumChange:
    """A sum of a territory, roll-up included, before and after; exact decimals as text."""

    territory_id: str
    period: str
    measure: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All differences between two models."""

    records: int
    """Live records of the organisation."""
    moved: Mapping[str, int]
    """The records that would be in other territories, counted by object."""
    examples: tuple[MovedRecord, ...]
    territories: tuple[TerritoryChange, ...]
    users: tuple[UserChange, ...]
    admins_added: tuple[str, ...]
    admins_removed: tuple[str, ...]
    sums: tuple[SumChange, ...]
    left_out_before: Mapping[str, int]
    """The deals that are in no sum, counted by reason."""
    left_out_after: Mapping[str, int]
    emptied: tuple[EmptiedTerritory, ...] = ()
    """Territories that would lose all records, or whose rule could no longer match any."""


class _Side:
    """The records under one of the two models; without a model there are none."""

    def __init__(self, model: Model | None) -> None:
        self.model = model
        self.access = None if model is None else AccessPolicy(model)
        self.cells = Cells()
        self.left_out: Counter[str] = Counter()
        self.records: Counter[str] = Counter()

    def viewers(self, assignment: Assignment | None) -> Viewers:
        """Return who sees a record under the model (V1)."""
        if self.access is None or assignment is None:
            return NOBODY
        return self.access.viewers_of(attributes_of(assignment))

    def count(self, assignment: Assignment | None) -> None:
        """Count a record in its territories, and a deal in the sums as well (F1). Raises: AmountOutOfRange."""
        if assignment is None or self.model is None:
            return
        self.records.update(assignment.territories)
        if assignment.object == "deal":
            counted = contribution_of(assignment, self.model)
            if isinstance(counted, LeftOut):
                self.left_out[counted.reason] += 1
            elif isinstance(counted, Contribution):
                self.cells.put(counted)


class ModelComparison:
    """Collects the differences between two models, record by record."""

    def __init__(self, before: Model | None, after: Model, examples_max: int) -> None:
        self._before, self._after = _Side(before), _Side(after)
        self._examples_max = examples_max
        self._examples: list[MovedRecord] = []
        self._records = 0
        self._moved: Counter[str] = Counter()
        self._gained: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._viewers: Counter[tuple[Viewers, Viewers]] = Counter()

    def take(self, before: Assignment | None, after: Assignment | None) -> None:
        """Add one record with its assignment under each model. Raises: AmountOutOfRange."""
        self._records += 1
        self._before.count(before)
        self._after.count(after)
        record = after or before
        now = before.territories if before is not None else ()
        then = after.territories if after is not None else ()
        if record is not None and set(now) != set(then):
            self._moved[record.object] += 1
            self._gained.update(set(then) - set(now))
            self._lost.update(set(now) - set(then))
            if len(self._examples) < self._examples_max:
                self._examples.append(MovedRecord(record.object, record.id, now, then))
        viewers_now, viewers_then = self._before.viewers(before), self._after.viewers(after)
        if viewers_now != viewers_then:
            self._viewers[viewers_now, viewers_then] += 1

    def plan(self) -> Plan:
        """Return the differences between all records that were added."""
        before, after = self._before, self._after
        admins_before = before.model.admins if before.model is not None else frozenset[str]()
        admins_after = after.model.admins if after.model is not None else frozenset[str]()
        return Plan(
            records=self._records,
            moved=dict(sorted(self._moved.items())),
            examples=tuple(self._examples),
            territories=tuple(
                TerritoryChange(each, before.records[each], after.records[each], self._gained[each], self._lost[each])
                for each in sorted(self._gained.keys() | self._lost.keys())
            ),
            users=tuple(self._users()),
            admins_added=tuple(sorted(admins_after - admins_before)),
            admins_removed=tuple(sorted(admins_before - admins_after)),
            sums=tuple(_sums(before.cells, after.cells)),
            left_out_before=dict(sorted(before.left_out.items())),
            left_out_after=dict(sorted(after.left_out.items())),
            emptied=()
            if after.model is None
            else emptied_territories(before.model, after.model, before.records, after.records),
        )

    def _users(self) -> list[UserChange]:
        counts = [Counter[str]() for _ in range(4)]
        for (now, then), records in self._viewers.items():
            groups = (then.readers - now.readers, now.readers - then.readers,
                      then.editors - now.editors, now.editors - then.editors)  # fmt: skip
            for counter, group in zip(counts, groups, strict=True):
                for user_id in group:
                    counter[user_id] += records
        users = {user_id for counter in counts for user_id in counter}
        return [UserChange(user_id, *(counter[user_id] for counter in counts)) for user_id in sorted(users)]


def _sums(before: Cells, after: Cells) -> list[SumChange]:
    """Return the territories' sums that differ; users' sums follow from their deals."""
    found: list[SumChange] = []
    places = {(territory, period) for territory, period, user in before.cells.keys() | after.cells.keys() if not user}
    for territory_id, period in sorted(places, key=lambda place: (place[1], place[0])):
        cells = [side.cells.get((territory_id, period, None)) for side in (before, after)]
        for measure in MEASURES:
            amounts: list[Decimal] = [ZERO if cell is None else cell.sums[measure] for cell in cells]
            if amounts[0] != amounts[1]:
                found.append(SumChange(territory_id, period, measure, *map(text_of, amounts)))
    return found
