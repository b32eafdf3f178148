"""Second stage of the forecast: adds up the partials of all partitions to attainments.

Its memory is the last partial of every source for every attainment: exactly the compacted topic that it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from forecast_aggregator.totals.attainment import Parts, total_of, with_part
from territory.model.compiled import Model
from territory.stage import AWAIT_UPSTREAM, Effects, InputMessage, Message, Models, SweepChunk
from territory.wire import topics
from territory.wire.events import Attainment, Partial, SourceSwept
from territory.wire.keys import attainment_key, parse_partial_key, partial_key, swept_key

AttainmentKey = tuple[str, str, str, str | None]
"""Organisation, territory, period and, for a person's own figures, the user."""

FLUSH_ATTAINMENTS_MAX = 400
"""Attainments that one flush publishes: some 10 ms. `proceed` does the rest."""


@dataclass(frozen=True, slots=True)
class AttainmentState:
    """An attainment for the store; None: it is deleted."""

    place: AttainmentKey
    attainment: Attainment | None


class AttainmentFold:
    """The attainments of one partition of territory.internal.partials.v1."""

    def __init__(self, partition: int = 0, partitions: int = 1) -> None:
        """Begin without partials.

        Args:
            partition: Its number.
            partitions: Of the topics: the number of sources.
        """
        self._partition = partition
        self._partitions = partitions
        self._parts: dict[str, dict[AttainmentKey, Parts]] = {}
        self._unconfirmed: dict[tuple[str, int], dict[AttainmentKey, None]] = {}
        """By organisation and source: attainments whose partial the source has not published again in its resync."""
        self._withdrawn: dict[tuple[str, int], dict[AttainmentKey, None]] = {}
        """The same after the end of the resync: these partials are void, and are removed a bounded number at a time."""
        self._changed: dict[AttainmentKey, None] = {}
        """Attainments that are not published since they changed, oldest change first."""
        self._unpublished_from: int | None = None
        """Offset of the first message whose effect is not published."""
        self._is_unfinished = False
        self._resync: frozenset[str] = frozenset()
        """Organisations whose attainments the next sweep publishes all again."""

    def __len__(self) -> int:
        return sum(len(attainments) for attainments in self._parts.values())

    def restore(self, message: InputMessage) -> None:
        """Take one partial, or the start or end of a source's resync, into memory."""
        self._take(message)
        while self._withdrawn:
            self._withdraw(FLUSH_ATTAINMENTS_MAX)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Treat all attainments as published, except those of unknown organisations."""
        self._changed.clear()
        self._resync = unknown

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Take one partial, or the start or end of a source's resync."""
        if self._unpublished_from is None:
            self._unpublished_from = message.offset
        self._take(message)
        effects.outcomes["added"] += 1

    @property
    def unfinished_from(self) -> int | None:
        """The offset of the first message whose attainments a flush left over."""
        return self._unpublished_from if self._is_unfinished else None

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        """Publish attainments that a flush left over."""
        limit -= self._withdraw(limit)
        self._publish(list(islice(self._changed, limit)), effects)
        self._is_unfinished = bool(self._changed or self._withdrawn)
        if not self._is_unfinished:
            self._unpublished_from = None

    def flush(self, models: Models, effects: Effects) -> None:
        """Publish the attainments whose parts changed in this batch, up to a bound."""
        self.proceed(models, effects, FLUSH_ATTAINMENTS_MAX)

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        """Publish all attainments of an unknown organisation. A known one needs none: changes come as partials."""
        if model.is_removed:
            yield from self._remove_organisation(model.org_id, limit)
            return
        if model.org_id in self._resync:
            keys = self.keys(model.org_id)
            for start in range(0, len(keys), limit):
                effects = Effects(swept=len(keys[start : start + limit]))
                self._publish(keys[start : start + limit], effects)
                yield effects
            self._resync -= {model.org_id}

    def _remove_organisation(self, org_id: str, limit: int) -> Iterator[SweepChunk]:
        """Remove what the sources have left of a removed organisation, and the markers of their resyncs (A12).

        A source that stopped amid its sweep no longer knows which partials its predecessor had published.
        """
        yield AWAIT_UPSTREAM
        keys = self.keys(org_id)
        for start in range(0, len(keys), limit):
            some, effects = keys[start : start + limit], Effects()
            for key in some:
                for source in list(self.parts(key)):
                    self._put(key, source, None)
                    effects.state.append(self._tombstone(partial_key(*key, source)))
            self._publish(some, effects)
            effects.swept = len(some)
            yield effects
        self._resync -= {org_id}
        self._parts.pop(org_id, None)
        markers = Effects()
        for source in range(self._partitions):
            self._unconfirmed.pop((org_id, source), None)
            self._withdrawn.pop((org_id, source), None)
            markers.state += [self._tombstone(swept_key(org_id, source, ended=ended)) for ended in (False, True)]
        yield markers

    def _tombstone(self, key: str) -> Message:
        return Message(topics.PARTIALS.name, key, None, self._partition)

    # --- queries -----------------------------------------------------------------------------

    def keys(self, org_id: str) -> list[AttainmentKey]:
        """Return the keys of an organisation's attainments."""
        return list(self._parts.get(org_id, ()))

    def parts(self, key: AttainmentKey) -> Parts:
        """Return the last partial of each source for an attainment."""
        return self._parts.get(key[0], {}).get(key, {})

    def attainment(self, key: AttainmentKey) -> Attainment | None:
        """Return what the partials of an attainment add up to; None: there are none."""
        return total_of(self.parts(key))

    def is_orphan(self, key: AttainmentKey) -> bool:
        """Whether this partition has no attainment of a key."""
        return key not in self._parts.get(key[0], {})

    # --- partials ----------------------------------------------------------------------------

    def _publish(self, keys: list[AttainmentKey], effects: Effects) -> None:
        for key in keys:
            self._changed.pop(key, None)
            attainment, route = self.attainment(key), attainment_key(*key)
            effects.messages.append(Message(topics.ATTAINMENTS.name, route, attainment, route))
            effects.changes.append(AttainmentState(key, attainment))

    def _take(self, message: InputMessage) -> None:
        parsed = parse_partial_key(message.key)
        if parsed is None:
            if isinstance(message.event, SourceSwept):
                self._resync_source(message.event)
            return
        org_id, territory_id, period, user_id, source = parsed
        partial: Partial | None = message.event
        self._put((org_id, territory_id, period, user_id), source, partial)

    def _resync_source(self, swept: SourceSwept) -> None:
        """Doubt all partials of a source when it starts to publish them again; void the rest when it has ended."""
        which = (swept.org_id, swept.source)
        if swept.ended:
            self._withdrawn.setdefault(which, {}).update(self._unconfirmed.pop(which, {}))
        else:
            self._withdrawn.pop(which, None)
            attainments = self._parts.get(swept.org_id, {})
            self._unconfirmed[which] = {key: None for key, parts in attainments.items() if swept.source in parts}

    def _withdraw(self, limit: int) -> int:
        """Remove up to `limit` void partials; return how many."""
        removed = 0
        for which in list(self._withdrawn):
            void = self._withdrawn[which]
            while void and removed < limit:
                self._put(void.popitem()[0], which[1], None)
                removed += 1
            if not void:
                del self._withdrawn[which]
        return removed

    def _put(self, key: AttainmentKey, source: int, partial: Partial | None) -> None:
        attainments = self._parts.setdefault(key[0], {})
        parts = with_part(attainments.get(key, {}), source, partial)
        for awaited in (self._unconfirmed, self._withdrawn):
            awaited.get((key[0], source), {}).pop(key, None)
        if parts:
            attainments[key] = parts
        else:
            attainments.pop(key, None)
        self._changed[key] = None
