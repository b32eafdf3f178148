"""Changes of the two lists in Redis that explain the sums: deals left out, and deals adjusted since a period closed."""

from __future__ import annotations

from dataclasses import dataclass

from forecast_aggregator.partials.contribution import LeftOut
from territory.wire.events import Counted


@dataclass(frozen=True, slots=True)
class DealLeftOut:
    """A change of the list of deals that are in no sum; no reason: the deal leaves the list."""

    org_id: str
    deal_id: str
    why: LeftOut | None


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How a deal counted when a period was closed, and how it counts in that period now; None: not at all."""

    frozen: Counted | None
    now: Counted | None


@dataclass(frozen=True, slots=True)
class DealAdjusted:
    """A change of the list of deals that differ from a closed period; no adjustment: the deal leaves the list."""

    org_id: str
    period: str
    deal_id: str
    adjustment: Adjustment | None
