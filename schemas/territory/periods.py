"""Fiscal months and quarters, by their names (domain: period)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

PeriodKind = Literal["month", "quarter"]

_NAMES = {
    "month": re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])"),
    "quarter": re.compile(r"([0-9]{4})-Q([1-4])"),
}


@dataclass(frozen=True, slots=True)
class FiscalCalendar:
    """Names the period of a day.

    A fiscal year that does not start in January bears the number of the calendar year in
    which it ends; `2017-01` is then its first month.
    """

    kind: PeriodKind = "quarter"
    fiscal_year_start: int = 1

    def period_of(self, day: date) -> str:
        """Return the name of the period that a day is in."""
        months_in = (day.month - self.fiscal_year_start) % 12
        year = day.year if self.fiscal_year_start == 1 or day.month < self.fiscal_year_start else day.year + 1
        if self.kind == "month":
            return f"{year:04d}-{months_in + 1:02d}"
        return f"{year:04d}-Q{months_in // 3 + 1}"

    def is_period(self, name: str) -> bool:
        """Whether a text names a period of this calendar."""
        return _NAMES[self.kind].fullmatch(name) is not None

    @property
    def example(self) -> str:
        """A well-formed name, for messages."""
        return "2017-03" if self.kind == "month" else "2017-Q1"
