"""The standard reports: star performers, revenue, the open pipeline, and sales cycles (F8, F13); pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from forecast_aggregator.partials.contribution import Contribution
from territory.model.compiled import TargetKey
from territory.money import percent_of, text_of
from territory_admin.reports.deals import ReportedDeal
from territory_admin.reports.measures import MEASURES, Sums
from territory_admin.reports.table import Report, Row, Scope, figure

OWN = "own_"
"""Prefix of a figure that counts the territory's own deals only, without those below it."""


class _ByTerritory(Report):
    """Sums by period and territory: of its own deals, and including everything below it (F1)."""

    labels = ("period", "territory_id", "territory")
    measures: tuple[str, ...]

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._own: dict[tuple[str, str], Sums] = {}
        self._all: dict[tuple[str, str], Sums] = {}
        self._total = Sums(self.measures)

    def count(self, deal: ReportedDeal, counted: Contribution) -> None:
        """Add a deal, if the report counts it."""
        if all(MEASURES[name](counted) is None for name in self.measures):
            return
        period = self.scope.period_of(counted)
        self._sums(self._own, period, counted.path[0]).add(counted)
        for territory_id in self.scope.within(counted.path):
            self._sums(self._all, period, territory_id).add(counted)
        self._total.add(counted)

    def _sums(self, sums: dict[tuple[str, str], Sums], period: str, territory_id: str) -> Sums:
        return sums.setdefault((period, territory_id), Sums(self.measures))

    def rows(self) -> list[Row]:
        """Return the rows by period, and within a period in the order of the tree."""
        order, nothing = self.tree_order(), Sums(self.measures)
        rows: list[Row] = []
        for place in sorted(self._all, key=lambda place: (place[0], order[place[1]])):
            figures = [*self._own.get(place, nothing).values, *self._all[place].values]
            named = dict(zip(self.figures, map(figure, figures), strict=True))
            rows.append({"period": place[0], **self.territory(place[1]), **named})
        return rows

    def totals(self) -> Row:
        """Return the measures over all deals, each counted once."""
        return dict(zip(self.measures, map(figure, self._total.values), strict=True))


class Revenue(_ByTerritory):
    """Won deals and their amounts."""

    name = "revenue"
    measures = ("deals_won", "won")
    figures = ("own_deals_won", "own_won", *measures)


class OpenPipeline(_ByTerritory):
    """Open deals by category, and their weighted amounts."""

    name = "pipeline"
    measures = ("deals_open", "pipeline", "best_case", "committed", "open", "weighted")
    figures = (*(OWN + name for name in measures), *measures)


class StarPerformers(Report):
    """Territories and users who won at least their target (F8); the highest share of the target comes first.

    A target of 0 is no target (F6). Without a period in the scope, targets of fiscal years are in the report, too.
    """

    name = "star-performers"
    labels = ("period", "territory_id", "territory", "user_id", "user")
    figures = ("target", "won", "attainment_pct", "deals_won")

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._won: dict[TargetKey, Sums] = {
            key: Sums(("won", "deals_won"))
            for key, target in scope.model.targets.items()
            if target > 0 and scope.period in (None, key[1]) and scope.has_territory(key[0])
        }

    def count(self, deal: ReportedDeal, counted: Contribution) -> None:
        """Add a deal, if the report counts it."""
        if counted.category != "won":
            return
        places: list[tuple[str, str | None]] = [(above, None) for above in counted.path]
        if counted.owner_id is not None:
            places.append((counted.path[0], counted.owner_id))
        keys: list[TargetKey] = [
            (territory_id, period, user_id)
            for territory_id, user_id in places
            for period in (counted.period, counted.year)
        ]
        for key in keys:
            if key in self._won:
                self._won[key].add(counted)

    def _stars(self) -> list[tuple[TargetKey, Decimal, Decimal, int]]:
        targets = self.scope.model.targets
        stars = []
        for key, sums in self._won.items():
            won, deals = sums.values
            if won >= targets[key]:
                stars.append((key, targets[key], Decimal(won), int(deals)))
        return stars

    def rows(self) -> list[Row]:
        """Return the star performers by period, the highest attainment first."""
        order, people = self.tree_order(), self.scope.model.people
        stars = sorted(
            self._stars(),
            key=lambda star: (star[0][1], -Fraction(star[2]) / Fraction(star[1]), order[star[0][0]], star[0][2] or ""),
        )
        return [
            {
                "period": period,
                **self.territory(territory_id),
                "user_id": user_id,
                "user": people[user_id].name if user_id in people else user_id,
                "target": text_of(target),
                "won": text_of(won),
                "attainment_pct": percent_of(won, target),
                "deals_won": deals,
            }
            for (territory_id, period, user_id), target, won, deals in stars
        ]

    def totals(self) -> Row:
        """Return how many targets there are, and how many of them were reached."""
        return {"targets": len(self._won), "reached": len(self._stars())}


class SalesCycle(Report):
    """Days from the creation to the close of won deals, by territory (F13).

    The 90th percentile is the nearest rank: the shortest time within which at least 90 % of the deals were won.
    """

    name = "sales-cycle"
    labels = ("territory_id", "territory")
    measures = ("deals", "mean_days", "median_days", "p90_days")
    figures = (*(OWN + name for name in measures), *measures)

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._own: dict[str, Counter[int]] = {}
        self._all: dict[str, Counter[int]] = {}
        self._total: Counter[int] = Counter()

    def count(self, deal: ReportedDeal, counted: Contribution) -> None:
        """Add a deal, if the report counts it."""
        if deal.cycle is None:
            return
        if isinstance(deal.cycle, str):
            self.leave_out(deal.cycle)
            return
        self._own.setdefault(counted.path[0], Counter())[deal.cycle] += 1
        for territory_id in self.scope.within(counted.path):
            self._all.setdefault(territory_id, Counter())[deal.cycle] += 1
        self._total[deal.cycle] += 1

    def rows(self) -> list[Row]:
        """Return the rows in the order of the tree."""
        return [
            {
                **self.territory(territory_id),
                **self._measured(self._own.get(territory_id, Counter()), OWN),
                **self._measured(self._all[territory_id]),
            }
            for territory_id in sorted(self._all, key=self.tree_order().__getitem__)
        ]

    def totals(self) -> Row:
        """Return the measures over all deals, each counted once."""
        return self._measured(self._total)

    def _measured(self, found: Counter[int], before: str = "") -> Row:
        figures = durations(sorted(found.elements()))
        return {before + name: value for name, value in zip(self.measures, figures, strict=True)}


def durations(days: Sequence[int]) -> tuple[int, str | None, str | None, int | None]:
    """Return the count, mean, median and 90th percentile of sorted durations.

    Units: days. The mean is rounded to two decimals, half to even; the others are exact.
    """
    if not days:
        return 0, None, None, None
    mean = Fraction(sum(days), len(days))
    twice_median = statistics.median_low(days) + statistics.median_high(days)
    at_least = -(-9 * len(days) // 10)
    return len(days), _hundredths(mean), _hundredths(Fraction(twice_median, 2)), days[at_least - 1]


def _hundredths(number: Fraction) -> str:
    return text_of(Decimal(round(number * 100)).scaleb(-2))
