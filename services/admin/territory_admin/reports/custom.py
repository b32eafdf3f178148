"""The custom report: any measures of deals by territory, user, period, category and declared fields (F13); pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from forecast_aggregator.partials.contribution import Contribution
from territory.criteria.values import Value
from territory.model.compiled import Model
from territory_admin.errors import Refused
from territory_admin.reports.deals import ReportedDeal
from territory_admin.reports.fields import DealFields, Field, FieldValue
from territory_admin.reports.measures import MEASURES, Sums
from territory_admin.reports.table import Report, Row, Scope, figure

ATTRIBUTES: Mapping[str, Callable[[Contribution], str | None]] = {
    "territory": lambda deal: deal.path[0],
    "user": lambda deal: deal.owner_id,
    "period": lambda deal: deal.period,
    "category": lambda deal: deal.category,
}
"""Groupings that every counted deal has. The territory is the deal's own, so that rows add up to totals (F2)."""

Label = tuple[bool, Value | str]
"""The sort key of a group in one column: whether the value is missing, then the value."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """The columns that a report groups by."""

    columns: tuple[str, ...]
    fields: tuple[Field, ...]
    """The columns that are declared fields, in order."""


def measures_of(words: Sequence[str]) -> tuple[str, ...]:
    """Return the named measures without repeats. Raises: Refused for an unknown name; the text lists the known ones."""
    for word in words:
        if word not in MEASURES:
            raise Refused(f"found --measure {word}, expected one of {', '.join(MEASURES)}{_near(word, MEASURES)}")
    return tuple(dict.fromkeys(words))


def grouping_of(model: Model, words: Sequence[str]) -> Grouping:
    """Return the grouping by named columns.

    A deal's field is written `product`, or `deal.product` if an attribute has that name; its account's field
    is written `account.sector`.

    Raises: Refused for a field that the model does not declare; the text lists the declared ones.
    """
    columns = tuple(dict.fromkeys(words))
    fields: list[Field] = []
    for word in columns:
        if word in ATTRIBUTES:
            continue
        known = _declared(model)
        if word not in known:
            listed = ", ".join([*ATTRIBUTES, *dict(zip(known.values(), known, strict=True)).values()])
            raise Refused(
                f"found --by {word}, expected one of {listed}{_near(word, known)}; "
                f"fields have to be declared in the model of {model.org_id!r} (section fields)"
            )
        fields.append(known[word])
    return Grouping(columns, tuple(fields))


def _declared(model: Model) -> dict[str, Field]:
    fields = {f"deal.{name}": Field("deal", name, kind) for name, kind in model.field_types.get("deal", {}).items()}
    short = {field.name: field for field in fields.values() if field.name not in ATTRIBUTES}
    accounts = {
        f"account.{name}": Field("account", name, kind) for name, kind in model.field_types.get("account", {}).items()
    }
    return {**fields, **short, **accounts}  # shorter names overwrite longer ones when listed


def _near(word: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


class Custom(Report):
    """Measures by groups; a group that no measure counts a deal of has no row."""

    name = "custom"

    def __init__(self, scope: Scope, measures: Sequence[str], grouping: Grouping, fields: DealFields) -> None:
        """Report some measures by a grouping; `fields` has the deals' fields already."""
        super().__init__(scope)
        self.figures = tuple(measures)
        self.labels = grouping.columns
        self._fields = fields
        self._sums: dict[tuple[Value | None, ...], Sums] = {}
        self._texts: dict[tuple[Value | None, ...], tuple[str | None, ...]] = {}
        self._total = Sums(self.figures)

    def count(self, deal: ReportedDeal, counted: Contribution) -> None:
        """Add a deal to its group, if any measure counts it."""
        if all(MEASURES[name](counted) is None for name in self.figures):
            return
        found = self._values(deal, counted)
        group = tuple(each.value for each in found)
        texts = tuple(each.text for each in found)
        sums = self._sums.get(group)
        if sums is None:
            sums = self._sums[group] = Sums(self.figures)
            self._texts[group] = texts
        else:
            # Of several spellings the smallest, so that the order of deals does not matter.
            self._texts[group] = tuple(
                None if before is None or now is None else min(before, now)
                for before, now in zip(self._texts[group], texts, strict=True)
            )
        sums.add(counted)
        self._total.add(counted)

    def _values(self, deal: ReportedDeal, counted: Contribution) -> list[FieldValue]:
        fields = iter(self._fields.of(deal.key))
        found: list[FieldValue] = []
        for column in self.labels:
            if column in ATTRIBUTES:
                value = ATTRIBUTES[column](counted)
                found.append(FieldValue(value, value))
            else:
                found.append(next(fields))
        return found

    def rows(self) -> list[Row]:
        """Return a row for each group, ordered by its labels; missing labels come last."""
        return [
            {
                **dict(zip(self.labels, self._texts[group], strict=True)),
                **dict(zip(self.figures, map(figure, self._sums[group].values), strict=True)),
            }
            for group in sorted(self._sums, key=_order)
        ]

    def totals(self) -> Row:
        """Return the measures over all deals, each counted once."""
        return dict(zip(self.figures, map(figure, self._total.values), strict=True))


def _order(group: tuple[Value | None, ...]) -> list[Label]:
    """Return a group's sort key: numbers and days by size, sets by their values, missing values last."""
    return [(value is None, _comparable(value)) for value in group]


def _comparable(value: Value | None) -> Value | str:
    match value:
        case None:
            return ""
        case frozenset():
            return "; ".join(sorted(value))
        case bool():
            return str(value)
        case int():
            return Decimal(value)
        case _:
            return value
