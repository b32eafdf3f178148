"""What a report comes to: rows of labels and figures, with totals and what was left out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from forecast_aggregator.partials.contribution import Contribution, LeftOut
from territory.model.compiled import Model
from territory.money import text_of
from territory_admin.reports.deals import Deal

Cell = str | int | None
"""A label, a count, or an amount as an exact decimal text; None: there is none."""
Row = dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which deals a report is about."""

    model: Model
    period: str | None = None
    """None: all periods."""
    territory_id: str | None = None
    """This one and everything below it; None: the whole tree."""

    def holds(self, counted: Contribution) -> bool:
        """Whether a deal that is in a sum belongs to the report."""
        return self.period in (None, counted.period) and self.has_path(counted.path)

    def has_path(self, path: tuple[str, ...]) -> bool:
        """Whether a path from a territory to its root goes through the scope."""
        return self.territory_id is None or self.territory_id in path

    def has_territory(self, territory_id: str) -> bool:
        """Whether a territory of the model is in the scope."""
        return self.has_path(self.model.tree.path_of(territory_id))

    def within(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return the part of a path that is in the scope; the path goes through it."""
        return path if self.territory_id is None else path[: path.index(self.territory_id) + 1]

    def lists(self, deal: Deal) -> bool:
        """Whether a deal that is left out belongs to the report, whatever its period: of many it is unknown."""
        if self.territory_id is None:
            return True
        return deal.territory_id is not None and self.has_territory(deal.territory_id)


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A report. Amounts are in the organisation's currency."""

    report: str
    org_id: str
    model_revision: int
    currency: str
    period: str | None
    territory_id: str | None
    labels: tuple[str, ...]
    """Columns that say what a row is about."""
    figures: tuple[str, ...]
    """Columns that are counts, amounts, days or per cent."""
    rows: tuple[Row, ...]
    totals: Row
    """Over every deal of the report once, however many rows it is in."""
    left_out: dict[str, int]
    """Deals that the report could not count, by reason, of any period."""


class Report(ABC):
    """One kind of report under way: deals are taken one by one, in any order."""

    name: str
    labels: tuple[str, ...]
    figures: tuple[str, ...]

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._left_out: Counter[str] = Counter()

    def take(self, deal: Deal) -> None:
        """Count a deal, if it belongs to the report. Raises: AmountOutOfRange."""
        if isinstance(deal.counted, LeftOut):
            if self.scope.lists(deal):
                self._left_out[deal.counted.reason] += 1
        elif self.scope.holds(deal.counted):
            self.count(deal, deal.counted)

    @abstractmethod
    def count(self, deal: Deal, counted: Contribution) -> None:
        """Count a deal that is in a sum."""

    def leave_out(self, reason: str) -> None:
        """Note a deal that this kind of report can't count."""
        self._left_out[reason] += 1

    @abstractmethod
    def rows(self) -> list[Row]:
        """Return the rows, in an order that depends on what was counted alone."""

    @abstractmethod
    def totals(self) -> Row:
        """Return the totals."""

    def table(self) -> ReportTable:
        """Return the report over all that was taken."""
        model = self.scope.model
        return ReportTable(
            report=self.name,
            org_id=model.org_id,
            model_revision=model.revision,
            currency=model.organisation.currency,
            period=self.scope.period,
            territory_id=self.scope.territory_id,
            labels=self.labels,
            figures=self.figures,
            rows=tuple(self.rows()),
            totals=self.totals(),
            left_out=dict(sorted(self._left_out.items())),
        )

    def tree_order(self) -> dict[str, int]:
        """Return the place of each territory in the model's tree, parents first."""
        return {territory_id: place for place, territory_id in enumerate(self.scope.model.tree)}

    def territory(self, territory_id: str) -> Row:
        """Return the labels of a territory."""
        return {"territory_id": territory_id, "territory": self.scope.model.territories[territory_id].name}


def figure(value: Decimal | int) -> Cell:
    """Return a count as it is, an amount as an exact text."""
    return value if isinstance(value, int) else text_of(value)
