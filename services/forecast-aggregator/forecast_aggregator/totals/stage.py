"""The stage of the forecast's second step: partials of all partitions become attainments.

Its memory is what every source has said last of every attainment; all of it is in the
compacted topic that it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forecast_aggregator.totals.attainment import Parts, total_of, with_part
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message, Models, WithoutFanOut
from territory.wire import topics
from territory.wire.events import Attainment, Partial, SourceSwept
from territory.wire.keys import attainment_key, parse_partial_key

Place = tuple[str, str, str, str | None]
"""Organisation, territory, period and, for a person's part, the user."""


@dataclass(frozen=True, slots=True)
class AttainmentState:
    """How an attainment stands now; None: it is gone."""

    place: Place
    attainment: Attainment | None


class AttainmentFold(WithoutFanOut):
    """The attainments of one partition of territory.internal.partials.v1."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[Place, Parts]] = {}
        self._doubted: dict[tuple[str, int], dict[Place, None]] = {}
        """By organisation and source, what it has not said again yet while it says all it has."""
        self._changed: dict[Place, None] = {}
        self._unsaid: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return sum(len(places) for places in self._parts.values())

    def restore(self, message: InputMessage) -> None:
        """Take what a source has said."""
        self._take(message)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Take it that all totals were said, but for unknown organisations: the next sweep says theirs."""
        self._changed.clear()
        self._unsaid = unknown

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Take what a source says; what it adds up to is said at the end of the turn."""
        self._take(message)
        effects.outcomes["added"] += 1

    def flush(self, models: Models, effects: Effects) -> None:
        """Say the attainments whose parts changed in this turn."""
        for place in self._changed:
            attainment = self.attainment(place)
            key = attainment_key(*place)
            effects.messages.append(Message(topics.ATTAINMENTS.name, key, attainment, key))
            effects.changes.append(AttainmentState(place, attainment))
        self._changed.clear()

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Say an organisation's totals again where they are unknown; else the parts say what a model changes."""
        if model.org_id in self._unsaid:
            places = list(self._parts.get(model.org_id, ()))
            for start in range(0, len(places), limit):
                some = places[start : start + limit]
                self._changed |= dict.fromkeys(some)
                yield Effects(swept=len(some))
            self._unsaid -= {model.org_id}

    def places(self, org_id: str) -> list[Place]:
        """Return the places of an organisation's attainments, as they are now."""
        return list(self._parts.get(org_id, ()))

    def parts(self, place: Place) -> Parts:
        """Return what each source has said last of an attainment."""
        return self._parts.get(place[0], {}).get(place, {})

    def attainment(self, place: Place) -> Attainment | None:
        """Return what the parts of a place add up to; None: there are none."""
        return total_of(self.parts(place))

    def is_stray(self, place: Place) -> bool:
        """Whether there is no attainment in a place of this partition."""
        return place not in self._parts.get(place[0], {})

    def _take(self, message: InputMessage) -> None:
        place = parse_partial_key(message.key)
        if place is None:
            if isinstance(message.event, SourceSwept):
                self._hear_of(message.event)
            return
        org_id, territory_id, period, user_id, source = place
        partial: Partial | None = message.event
        self._put((org_id, territory_id, period, user_id), source, partial)

    def _hear_of(self, swept: SourceSwept) -> None:
        """Doubt all that a source has said when it begins to say it again; drop what it has not when it has ended."""
        which = (swept.org_id, swept.source)
        if swept.ended:
            for place in self._doubted.pop(which, ()):
                self._put(place, swept.source, None)
        else:
            places = self._parts.get(swept.org_id, {})
            self._doubted[which] = {place: None for place, parts in places.items() if swept.source in parts}

    def _put(self, place: Place, source: int, partial: Partial | None) -> None:
        places = self._parts.setdefault(place[0], {})
        parts = with_part(places.get(place, {}), source, partial)
        self._doubted.get((place[0], source), {}).pop(place, None)
        if parts:
            places[place] = parts
        else:
            places.pop(place, None)
        self._changed[place] = None
