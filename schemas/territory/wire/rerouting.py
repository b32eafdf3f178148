"""Messages that intake sends on to the home partition of their record, on territory.internal.releases.v1.

A message without these headers is a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

REROUTED = "territory-rerouted"
"""Header: what the value is, one of the three below."""
CHANGE = "change"
"""A change that arrived on another partition, its bytes unchanged."""
STATE = "state"
"""The state of a record that an earlier version kept where its changes arrived."""
RELEASE = "release"
"""A release of a record whose state was sent on."""
ORIGIN = "territory-origin"
"""Header of a change: the partition and the offset on crm.records.v1, and the broker's time in ms."""


class Arrival(NamedTuple):
    """Where on crm.records.v1 a change arrived, and when."""

    partition: int
    offset: int
    broker_ms: int

    def __str__(self) -> str:
        return f"{self.partition} {self.offset} {self.broker_ms}"

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> Arrival | None:
        """Return the origin that the headers of a change name; None where they name none."""
        parts = headers.get(ORIGIN, "").split(" ")
        if len(parts) != len(cls._fields) or not all(part.isascii() and part.isdecimal() for part in parts):
            return None
        return cls(*map(int, parts))


def own_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the headers that a change had when it arrived, without those of its way home."""
    return tuple((name, text) for name, text in headers.items() if name not in (REROUTED, ORIGIN))
