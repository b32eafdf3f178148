"""The result of a report, and the base class of reports: rows of labels and figures, totals, deals left out; pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from forecast_aggregator.partials.contribution import Contribution, LeftOut
from territory.model.compiled import Model
from territory.money import text_of
from territory_admin.reports.deals import ReportedDeal

Cell = str | int | None
"""A label, a count, or an amount as an exact decimal text; None if there is none."""
Row = dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Scope:
    """The deals that a report covers."""

    model: Model
    period: str | None = None
    """A period or a fiscal year; None for all periods."""
    territory_id: str | None = None
    """This territory and everything below it; None for the whole tree."""

    def holds(self, counted: Contribution) -> bool:
        """Whether the report covers a counted deal."""
        return self.period in (None, counted.period, counted.year) and self.has_path(counted.path)

    def period_of(self, counted: Contribution) -> str:
        """Return the period under which a report by periods shows a deal: the year, if the report is for a year."""
        return counted.year if self.period == counted.year else counted.period

    def has_path(self, path: tuple[str, ...]) -> bool:
        """Whether a path from a territory to its root passes through the scope."""
        return self.territory_id is None or self.territory_id in path

    def has_territory(self, territory_id: str) -> bool:
        """Whether a territory of the model is in the scope."""
        return self.has_path(self.model.tree.path_of(territory_id))

    def within(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return the part of a path that is inside the scope, which the path passes through."""
        return path if self.territory_id is None else path[: path.index(self.territory_id) + 1]

    def lists(self, deal: ReportedDeal) -> bool:
        """Whether the report covers a deal that is left out; its period, often unknown, does not matter."""
        if self.territory_id is None:
            return True
        return deal.territory_id is not None and self.has_territory(deal.territory_id)


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A finished report. Amounts are in the organisation's currency."""

    report: str
    org_id: str
    model_revision: int
    currency: str
    period: str | None
    territory_id: str | None
    labels: tuple[str, ...]
    """Columns that identify a row."""
    figures: tuple[str, ...]
    """Columns with counts, amounts, days or percentages."""
    rows: tuple[Row, ...]
    totals: Row
    """Over every deal of the report, counted once however many rows it is in."""
    left_out: dict[str, int]
    """Deals of any period that the report could not count, by reason."""


class Report(ABC):
    """A report that deals are added to one by one, in any order."""

    name: str
    labels: tuple[str, ...]
    figures: tuple[str, ...]

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._left_out: Counter[str] = Counter()

    def take(self, deal: ReportedDeal) -> None:
        """Add a deal, if the report covers it. Raises: AmountOutOfRange."""
        if isinstance(deal.counted, LeftOut):
            if self.scope.lists(deal):
                self._left_out[deal.counted.reason] += 1
        elif self.scope.holds(deal.counted):
            self.count(deal, deal.counted)

    @abstractmethod
    def count(self, deal: ReportedDeal, counted: Contribution) -> None:
        """Add a deal that is in a forecast sum."""

    def leave_out(self, reason: str) -> None:
        """Count a deal that this kind of report leaves out."""
        self._left_out[reason] += 1

    @abstractmethod
    def rows(self) -> list[Row]:
        """Return the rows, in an order that does not depend on the order of the deals."""

    @abstractmethod
    def totals(self) -> Row:
        """Return the totals."""

    def table(self) -> ReportTable:
        """Return the report over all deals that were added."""
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
        """Return the position of each territory in the model's tree, parents first."""
        return {territory_id: place for place, territory_id in enumerate(self.scope.model.tree)}

    def territory(self, territory_id: str) -> Row:
        """Return the label columns of a territory."""
        return {"territory_id": territory_id, "territory": self.scope.model.territories[territory_id].name}


def figure(value: Decimal | int) -> Cell:
    """Return a count as a number, an amount as an exact text."""
    return value if isinstance(value, int) else text_of(value)
