"""What a worker knows of one partition that it has, and how it passes from one model to the next.

Pure, but for a clock: the partition loop does the reading and writing, and tests do it in memory.

What was said of a partition is known as long as this holds: every record's last word follows from
the models that the partition was swept under last, or from those that it is being brought under.
Both are in the note beside the committed offset, and in it *before* the first word under the
latter is said. So whoever takes over resumes that sweep exactly, whatever the clock says by then,
and passes to the models of the day afterwards. Organisations that were activated since the last
sweep are the exception: the model before is gone, so all of theirs is said again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Set

from territory.stage import Effects, Fold, SweepChunk, Wait
from territory_runtime.loop.model_snapshot import NO_SNAPSHOT, CommitMetadata, ModelSnapshot, SnapshotId

SWEEP_SECONDS_MAX = 0.1
"""For so long a turn goes on with slices; the one that is under way then is the last."""


class PartitionTask:
    """One partition that this worker has: its memory, how far it is, and the models that it is under."""

    def __init__(self, fold: Fold, next_offsets: Mapping[str, int]) -> None:
        self.fold = fold
        self.next_offsets = dict(next_offsets)
        """By input topic, the next message to take."""
        self.repeats_until: Mapping[str, int] = {}
        """By input topic, up to where the one who had the partition before may have come without a commit."""
        self.term = 0
        """Which of the partition's terms is this worker's; only in the latest anything is written."""
        self.written = 0
        """How often the partition's store was written to, in all terms."""
        self.now: ModelSnapshot = NO_SNAPSHOT
        """The models that turns are taken under."""
        self.swept = SnapshotId()
        """The moment that everything is swept for; committed beside the offsets."""
        self.sweeps: dict[str, Iterator[SweepChunk]] = {}
        """By organisation, what is left of bringing its records under its model of now."""
        self._waiting: dict[str, int | None] = {}
        """Of these, those that wait until all is decided that came before an offset; None: not known which."""
        self.committed: CommitMetadata | None = None
        """The note of the last commit; None: not known."""
        self._resumed: frozenset[str] = frozenset()
        """Organisations whose sweep another worker began: it may have said any record under either model."""
        self._limit = 1
        self._passes = 1
        self._swept_records = 0

    # --- taking over -------------------------------------------------------------------------

    def resume(
        self,
        note: CommitMetadata,
        swept: ModelSnapshot,
        towards: ModelSnapshot,
        unknown: frozenset[str],
        *,
        limit: int,
        passes: int = 1,
    ) -> None:
        """Go on where the one who had the partition before stopped, once the fold's memory is restored.

        Args:
            note: What stands beside the committed offsets.
            swept: The models of today's activations at the instant that the note says was swept.
            towards: The same at the instant that it says was being swept for.
            unknown: Organisations of which everything has to be said again.
            limit: Records in a slice of a sweep.
            passes: How often a sweep of this stage goes through the records.
        """
        self._limit, self._passes = limit, passes
        self.committed = note
        self.fold.restored(swept.models, unknown)
        self.now = towards
        is_told = all(towards.activated_at[org] > note.swept.position for org in unknown)
        self.swept = note.swept if is_told else SnapshotId()
        self._resumed = frozenset(
            org for org, model in towards.models.items() if org not in unknown and model is not swept.models[org]
        )
        self._begin(unknown | self._resumed)

    # --- models ------------------------------------------------------------------------------

    def may_pass_to(self, newest: ModelSnapshot) -> bool:
        """Whether the partition can be brought under other models now, as far as this memory knows.

        Not while a sweep is left that another worker began: this memory takes each record for
        said under the model before, and it may be the one after. And under those of another day
        only when no sweep is left at all: records would else have been said under three days,
        of which a note names two.
        """
        if newest.moment == self.now.moment or self._resumed & self.sweeps.keys():
            return False
        return not (self.sweeps and self._passes_a_day(newest))

    def pass_to(self, newest: ModelSnapshot) -> bool:
        """Begin to bring the partition under other models; records meanwhile come under them, too.

        Return whether that closes periods (F12), which is no matter of slices: all deals are counted at once.

        Not before what the one before may have said without a commit is repeated: under other
        models a repeat might not come to the same, and leave standing what he said.
        """
        closes = self._closes_periods(newest)
        before, self.now = self.now, newest
        self._begin({org for org, model in newest.models.items() if model is not before.models.get(org)})
        return closes

    def _closes_periods(self, newest: ModelSnapshot) -> bool:
        before = {org: model.closed_since.items() for org, model in self.now.models.items()}
        return any(model.closed_since.items() - before.get(org, set()) for org, model in newest.models.items())

    def _passes_a_day(self, newest: ModelSnapshot) -> bool:
        return any(
            newest.models[org] is not model
            for org, model in self.now.models.items()
            if newest.activated_at[org] == self.now.activated_at[org]
        )

    # --- sweeps ------------------------------------------------------------------------------

    def _begin(self, orgs: Set[str]) -> None:
        for org in sorted(orgs):
            self.sweeps[org] = self.fold.sweep(self.now.models[org], self._limit)
            self._waiting.pop(org, None)
            self._swept_records = 0
        if not self.sweeps:
            self.swept = self.now.moment

    @property
    def is_sweeping(self) -> bool:
        """Whether there is a slice to be had."""
        return self.sweeps.keys() > self._waiting.keys()

    def sweep_on(self, effects: Effects) -> float:
        """Add the next slice of one organisation's sweep, organisations take turns; return its share of a whole one."""
        org = next(org for org in self.sweeps if org not in self._waiting)
        sweep = self.sweeps.pop(org)
        slice_of = next(sweep, None)
        share = 0.0
        if isinstance(slice_of, Wait):
            self._waiting[org] = None
        elif slice_of is not None:
            effects.add(slice_of)
            self._swept_records += slice_of.swept
            share = min(1.0, slice_of.cost / self._limit)
        if slice_of is not None:
            self.sweeps[org] = sweep  # at the end: others go first
        if not self.sweeps:
            self.swept = self.now.moment
        return share

    # --- waiting for the stage that this one follows -------------------------------------------

    @property
    def waits_for(self) -> int | None:
        """The position on the model topic that the stage before has to be swept for; None: nothing waits for that."""
        return min((self.now.activated_at[org] for org, end in self._waiting.items() if end is None), default=None)

    def decided(self, position: int, end: int) -> None:
        """Hear that the stage before is swept for a position on the model topic, and had said so much by then.

        Args:
            position: On the model topic.
            end: The offset after the last that it had said in this partition.
        """
        for org, known in self._waiting.items():
            if known is None and self.now.activated_at[org] <= position:
                self._waiting[org] = end

    def go_on_from(self, offset: int) -> None:
        """Hear that everything before an offset is taken: sweeps that waited for no more than that go on."""
        for org in [org for org, end in self._waiting.items() if end is not None and end <= offset]:
            del self._waiting[org]

    @property
    def revisions(self) -> dict[str, int]:
        """By organisation, the revision that all of its records here are under."""
        return {org: model.revision for org, model in self.now.models.items() if org not in self.sweeps}

    @property
    def to_sweep(self) -> int:
        """About so many records are still to be brought under the models of now."""
        return max(0, self._total - self._swept_records) if self.sweeps else 0

    @property
    def _total(self) -> int:
        return len(self.fold) * self._passes

    # --- commits -----------------------------------------------------------------------------

    @property
    def note(self) -> CommitMetadata:
        """What is to be written beside the offsets now."""
        if not self.sweeps:
            return CommitMetadata(self.swept, self.swept, 0, 0, self.term, self.written)
        return CommitMetadata(self.swept, self.now.moment, self.to_sweep, self._total, self.term, self.written)

    @property
    def is_untold(self) -> bool:
        """Whether the models of now have to be committed before anything is said under them."""
        return bool(self.sweeps) and (self.committed is None or self.committed.towards != self.now.moment)


def sweep_in_turns(
    held: dict[int, PartitionTask],
    slices: float,
    effects: Effects,
    *,
    seconds: float = SWEEP_SECONDS_MAX,
    clock: Callable[[], float] = time.monotonic,
) -> set[int]:
    """Add so many whole slices, fewer where they take longer than so many seconds; return of which partitions.

    Partitions take turns. Parts of slices are added up: else thousands of organisations that have few records
    here, or none, would take as many turns.
    """
    swept: set[int] = set()
    ends = clock() + seconds
    while slices > 0 and (not swept or clock() < ends):
        number = next((number for number, part in held.items() if part.is_sweeping), None)
        if number is None:
            break
        held[number] = part = held.pop(number)  # at the end: others go first
        slices -= part.sweep_on(effects)
        swept.add(number)
    return swept
