"""Stretches of time that a rule names by their days, for fields with datetimes (C8)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class Stretch(NamedTuple):
    """The instants from the first to the last, both included; a single instant is both."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Windows:
    """All instants within some stretches. The stretches are sorted, and no two of them have a common instant."""

    stretches: tuple[Stretch, ...]
    _firsts: tuple[datetime, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_firsts", tuple(stretch.first for stretch in self.stretches))

    @classmethod
    def of(cls, stretches: Iterable[Stretch]) -> Windows:
        """Return windows of stretches in any order; those with common instants become one.

        A day that a time zone skipped has no instants: its stretch ends before it begins, and is left out.
        """
        merged: list[Stretch] = []
        for stretch in sorted(each for each in stretches if each.first <= each.last):
            if merged and stretch.first <= merged[-1].last:
                merged[-1] = Stretch(merged[-1].first, max(merged[-1].last, stretch.last))
            else:
                merged.append(stretch)
        return cls(tuple(merged))

    def __contains__(self, instant: datetime) -> bool:
        place = bisect_right(self._firsts, instant)
        return place > 0 and instant <= self.stretches[place - 1].last
