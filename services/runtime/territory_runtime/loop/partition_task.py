"""One assigned partition: its restored table, its input and the model snapshot that it is moving to.

Pure: the task loop does the reading and writing, adapters in memory do it in tests.

What a partition has emitted is known by this invariant: each record's last output follows from the snapshot that
was last *applied* to the whole partition, or from the *target* snapshot of a sweep that is under way. Both are in
the metadata beside the committed offset, and the target is committed *before* the first output under it. So a
successor resumes that very sweep, whatever the clock shows by then, and moves to later snapshots afterwards. The
exception is an organisation that was activated since: its former model is gone, so all of it is emitted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from territory.errors import BadMessage
from territory.stage import Effects, Fold, SweepChunk, Wait, WithDeadlines
from territory_runtime.kafka.dead_letters import DeadLetter
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.decoding import decode_message
from territory_runtime.loop.input_queue import InputQueue
from territory_runtime.loop.model_snapshot import NO_SNAPSHOT, ModelSnapshot, SnapshotId
from territory_runtime.loop.ports import ConsumedMessage
from territory_runtime.loop.stage import Stage

PROCESSING_ERROR = "processing_error"


class PartitionTask:
    """One partition of a stage on this worker."""

    def __init__(self, fold: Fold, offsets: Mapping[str, int]) -> None:
        """Begin with an empty fold at the committed offsets, by input topic."""
        self.fold = fold
        self.queue = InputQueue(offsets)
        self.committed_offsets = dict(offsets)
        self.repeats_until: Mapping[str, int] = {}
        """By input topic, the end of what a predecessor may have processed without a commit."""
        self.epoch = 0
        """Counts the workers that this partition was assigned to; the sink refuses writes of an older one."""
        self.write_sequence = 0
        """Counts the sink's writes for this partition, over all epochs."""
        self.snapshot: ModelSnapshot = NO_SNAPSHOT
        """The models that messages are processed under: the target of the sweep, if one is under way."""
        self.applied = SnapshotId()
        """The snapshot that all records are under."""
        self.sweeps: dict[str, Iterator[SweepChunk]] = {}
        """By organisation, the rest of its sweep."""
        self.committed: CommitMetadata | None = None
        """The metadata of the last commit; None: not known."""
        self.is_input_paused = False
        """Whether no message is processed until the fan-outs under way are finished."""
        self._waiting: dict[str, int | None] = {}
        """Sweeps that wait until the upstream stage's output is processed up to an offset; None: not known yet."""
        self._resumed: frozenset[str] = frozenset()
        """Organisations whose sweep a predecessor began: it may have emitted any record under either snapshot."""
        self._limit = 1
        self._passes = 1
        self._edition = 0
        self._swept_records = 0

    # --- restoring ---------------------------------------------------------------------------

    def resume(
        self,
        metadata: CommitMetadata,
        applied: ModelSnapshot,
        target: ModelSnapshot,
        resync: frozenset[str],
        *,
        limit: int,
        passes: int = 1,
        edition: int = 0,
    ) -> None:
        """Continue where the predecessor stopped, once the fold is restored.

        Args:
            metadata: The text beside the committed offsets.
            applied: The present models at the instant of the applied snapshot.
            target: The same at the instant of the target snapshot.
            resync: Organisations of which everything has to be emitted again.
            limit: Records in a sweep chunk.
            passes: How often a sweep of this stage goes through the records.
            edition: The edition of this stage, for the metadata of later commits.
        """
        self._limit, self._passes, self._edition = limit, passes, edition
        self.committed = metadata
        self.fold.restored(applied.models, resync)
        self.snapshot = target
        is_known = all(target.activated_at[org] > metadata.applied.position for org in resync)
        self.applied = metadata.applied if is_known else SnapshotId()
        self._resumed = frozenset(
            org for org, model in target.models.items() if org not in resync and model is not applied.models[org]
        )
        self._begin_sweeps(resync | self._resumed)

    @property
    def is_repeating(self) -> bool:
        """Whether messages, or their consequences, are left that a predecessor may have processed without a commit."""
        unfinished = self._unfinished_from
        for topic, end in self.repeats_until.items():
            if self.queue.next_offset(topic) < end or unfinished.get(topic, end) < end:
                return True
        self.repeats_until = {}
        return False

    # --- messages ----------------------------------------------------------------------------

    def process(
        self, message: ConsumedMessage, stage: Stage, effects: Effects, *, stop_on_error: bool = False
    ) -> DeadLetter | None:
        """Apply one message; return it as a dead letter if it is refused.

        An unexpected exception in the fold refuses the message, too, unless the worker is to stop then: one poison
        message must not stop every organisation of the partition.
        """
        try:
            decoded = decode_message(message, stage.readers[message.topic])
        except BadMessage as bad:
            return DeadLetter.of(message, stage.name, code=bad.code, reason=str(bad))
        before = effects.mark()
        try:
            self.fold.apply(decoded, self.snapshot.models, effects)
        except Exception as fault:  # whatever one message raises: it is kept as a dead letter, or the worker stops
            if stop_on_error:
                raise
            effects.roll_back(before)
            return DeadLetter.of(message, stage.name, code=PROCESSING_ERROR, reason=_place_of(fault))
        if effects.refused:
            _, code, reason = effects.refused.pop()
            return DeadLetter.of(message, stage.name, code=code, reason=reason)
        return None

    def reprocess(self, effects: Effects) -> float:
        """Take one chunk, of an unfinished fan-out if there is one, else of a sweep; return its share of one."""
        if self.is_unfinished:
            self.fold.proceed(self.snapshot.models, effects, self._limit)
            return 1.0
        return self.sweep(effects)

    def is_due(self, now_ms: int) -> bool:
        """Whether something that the fold keeps waits for a time that has come (`WithDeadlines`)."""
        due_ms = self.fold.due_ms if isinstance(self.fold, WithDeadlines) else None
        return due_ms is not None and due_ms <= now_ms

    def expire(self, now_ms: int, effects: Effects) -> None:
        """Let the fold do what is due."""
        if isinstance(self.fold, WithDeadlines):
            self.fold.expire(now_ms, effects)

    @property
    def has_input(self) -> bool:
        """Whether a fetched message can be processed now."""
        return len(self.queue) > 0 and not self.is_input_paused

    @property
    def has_background_work(self) -> bool:
        """Whether a chunk of a sweep or of a fan-out can be taken."""
        return self.is_sweeping or self.is_unfinished

    @property
    def is_unfinished(self) -> bool:
        """Whether consequences of earlier messages are not all emitted."""
        return bool(self._unfinished_from)

    @property
    def _unfinished_from(self) -> Mapping[str, int]:
        """By input topic, the oldest message with consequences that are not emitted."""
        found = self.fold.unfinished_from
        if found is None:
            return {}
        return dict.fromkeys(self.committed_offsets, found) if isinstance(found, int) else found

    def offsets_to_commit(self) -> dict[str, int]:
        """Return by input topic the offset before which everything is processed and all of its consequences emitted."""
        offsets = {topic: self.queue.next_offset(topic) for topic in self.committed_offsets}
        for topic, unfinished in self._unfinished_from.items():
            offsets[topic] = min(offsets[topic], max(unfinished, self.committed_offsets[topic]))
        return offsets

    # --- model snapshots ---------------------------------------------------------------------

    def may_move_to(self, newest: ModelSnapshot) -> bool:
        """Whether the partition can move to another snapshot now, as far as its own sweeps and fan-outs go.

        It cannot while a sweep is left that a predecessor began: the fold assumes each record's output to be under
        the applied snapshot, and it may be under the target. It cannot move to another day while a sweep or a fan-out
        is left: records would have been emitted under three days, and the metadata names two.
        """
        if newest.id == self.snapshot.id or self._resumed & self.sweeps.keys():
            return False
        return not ((self.sweeps or self.is_unfinished) and self._passes_a_day(newest))

    def awaits_fan_out(self, newest: ModelSnapshot) -> bool:
        """Whether only a fan-out delays a move to another day. Then the input pauses, or it might last for ever."""
        is_new = newest.id != self.snapshot.id
        return is_new and self.is_unfinished and not self.sweeps and self._passes_a_day(newest)

    def move_to(self, newest: ModelSnapshot) -> bool:
        """Begin to move to another snapshot; messages are processed under it from now on.

        Return whether that closes periods (F12), which is much work: the caller then moves one partition a round.

        Only after everything is repeated that a predecessor may have processed without a commit: under another
        snapshot the repeat might emit less, and leave the predecessor's output in place.
        """
        closes = self._closes_periods(newest)
        before, self.snapshot = self.snapshot, newest
        self._begin_sweeps({org for org, model in newest.models.items() if model is not before.models.get(org)})
        return closes

    def _closes_periods(self, newest: ModelSnapshot) -> bool:
        before = {org: model.closed_since.items() for org, model in self.snapshot.models.items()}
        return any(model.closed_since.items() - before.get(org, set()) for org, model in newest.models.items())

    def _passes_a_day(self, newest: ModelSnapshot) -> bool:
        return any(
            newest.models[org] is not model
            for org, model in self.snapshot.models.items()
            if newest.activated_at[org] == self.snapshot.activated_at[org]
        )

    # --- sweeps ------------------------------------------------------------------------------

    def _begin_sweeps(self, orgs: Set[str]) -> None:
        for org in sorted(orgs):
            self.sweeps[org] = self.fold.sweep(self.snapshot.models[org], self._limit)
            self._waiting.pop(org, None)
            self._swept_records = 0
        if not self.sweeps:
            self.applied = self.snapshot.id

    @property
    def is_sweeping(self) -> bool:
        """Whether a sweep chunk can be taken."""
        return self.sweeps.keys() > self._waiting.keys()

    def sweep(self, effects: Effects) -> float:
        """Add the next chunk of one organisation's sweep; organisations take turns.

        Returns: Its cost as a share of a whole chunk.
        """
        org = next(org for org in self.sweeps if org not in self._waiting)
        sweep = self.sweeps.pop(org)
        chunk = next(sweep, None)
        share = 0.0
        if isinstance(chunk, Wait):
            self._waiting[org] = None
        elif chunk is not None:
            effects.add(chunk)
            self._swept_records += chunk.swept
            share = min(1.0, chunk.cost / self._limit)
        if chunk is not None:
            self.sweeps[org] = sweep  # at the end: another organisation is next
        if not self.sweeps:
            self.applied = self.snapshot.id
        return share

    @property
    def awaits_upstream(self) -> bool:
        """Whether a sweep waits for the upstream stage, or for its output to be processed."""
        return bool(self._waiting)

    @property
    def awaited_position(self) -> int | None:
        """The offset on the model topic that the upstream stage has to have applied; None: no sweep waits for it."""
        return min((self.snapshot.activated_at[org] for org, end in self._waiting.items() if end is None), default=None)

    def upstream_applied(self, position: int, end: int) -> None:
        """Take note that the upstream stage has applied the models up to an offset of the model topic.

        Args:
            position: That offset.
            end: The end of its output in this partition, looked up after `position` was known.
        """
        for org, known in self._waiting.items():
            if known is None and self.snapshot.activated_at[org] <= position:
                self._waiting[org] = end

    def release_sweeps(self, offset: int) -> None:
        """Let sweeps go on that waited for upstream output before an offset to be processed."""
        for org in [org for org, end in self._waiting.items() if end is not None and end <= offset]:
            del self._waiting[org]

    @property
    def revisions(self) -> dict[str, int]:
        """By organisation, the revision that all of its records here are under; a removed one has no progress (A12)."""
        return {
            org: model.revision
            for org, model in self.snapshot.models.items()
            if org not in self.sweeps and not model.is_removed
        }

    @property
    def records_to_sweep(self) -> int:
        """About so many records are still to be swept."""
        return max(0, self._total - self._swept_records) if self.sweeps else 0

    @property
    def _total(self) -> int:
        return len(self.fold) * self._passes

    # --- commits -----------------------------------------------------------------------------

    @property
    def metadata(self) -> CommitMetadata:
        """What is to be written beside the offsets now."""
        target, remaining, total = (
            (self.snapshot.id, self.records_to_sweep, self._total) if self.sweeps else (self.applied, 0, 0)
        )
        return CommitMetadata(self.applied, target, remaining, total, self.epoch, self.write_sequence, self._edition)

    @property
    def target_uncommitted(self) -> bool:
        """Whether the target snapshot must be committed before any output is produced under it.

        So must a new edition: an older worker that takes the partition over cannot read it, and treats all output as
        unknown.
        """
        committed = self.committed
        return bool(self.sweeps) and (
            committed is None or committed.target != self.snapshot.id or committed.edition != self._edition
        )


def _place_of(fault: BaseException) -> str:
    """Return an exception's type and place. Never its text, which may quote a record's data."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" in {trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno}"
    return f"{type(fault).__name__}{where}: the message could not be processed; the worker went on without it"
