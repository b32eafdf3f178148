"""A partition moves from model to model, and its commit metadata tells a successor what was emitted under which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from territory.model.compiled import Model, compile_model
from territory.stage import AWAIT_UPSTREAM, NO_MESSAGE, Effects, InputMessage, Models, SweepChunk
from territory.wire.codec import JSON
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import ModelSnapshot, SnapshotId
from territory_runtime.loop.partition_task import PartitionTask

FIRST, SECOND, THIRD = date(2017, 2, 28), date(2017, 3, 1), date(2017, 3, 2)
SWEPT = (3, 1)
RECORDS = 4
LIMIT = 2


class _Fold:
    """Records the models that it gets. Its sweeps have two chunks, and a test begins its fan-outs."""

    def __init__(self) -> None:
        self.restored_under: dict[str, Model] = {}
        self.unknown: frozenset[str] = frozenset()
        self.swept: list[Model] = []
        self.unfinished_from: int | Mapping[str, int] | None = None

    def restore(self, message: InputMessage) -> None: ...

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        self.restored_under, self.unknown = dict(models), unknown

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None: ...

    def flush(self, models: Models, effects: Effects) -> None: ...

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        self.unfinished_from = None

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        self.swept.append(model)
        return iter([Effects(swept=count) for count in SWEPT])

    def __len__(self) -> int:
        return RECORDS


def model_of(org: str = "acme", revision: int = 1, *, on: date | None = None) -> Model:
    """Return a model with one rule that depends on the day."""
    rules: JSON = {"account": {"field": "since", "within_last_days": 7}}
    raw: JSON = {
        "org": org,
        "fields": {"account": {"since": "date"}},
        "roles": [{"id": "r"}],
        "users": [{"id": "u", "role": "r"}],
        "territories": [{"id": "t", "rules": rules}],
    }
    model = compile_model(raw, revision)
    return model if on is None else model.on(on)


ACME = model_of()
OF_DAY = {day: ACME.on(day) for day in (FIRST, SECOND, THIRD)}
NEXT, OTHER = model_of(revision=2, on=SECOND), model_of("beta", on=FIRST)


def snapshot_of(day: date, position: int = 5, **others: tuple[Model, int]) -> ModelSnapshot:
    """Return the snapshot of a day: acme's model, activated at offset 5, unless another is given."""
    models = {"acme": OF_DAY[day]} | {model.org_id: model for model, _ in others.values()}
    activated_at = {"acme": 5} | {model.org_id: offset for model, offset in others.values()}
    return ModelSnapshot(models, activated_at, SnapshotId(position, day.toordinal()))


def restored(
    metadata: CommitMetadata, applied: ModelSnapshot, target: ModelSnapshot, *unknown: str, passes: int = 1
) -> PartitionTask:
    """Return the task of a restored partition."""
    task = PartitionTask(_Fold(), {"t": 0})
    task.resume(metadata, applied, target, frozenset(unknown), limit=LIMIT, passes=passes)
    return task


def swept_on(day: date) -> PartitionTask:
    """Return a restored task of which everything was swept for a day."""
    models = snapshot_of(day)
    return restored(CommitMetadata(models.id, models.id), models, models)


def half_swept(before: date, after: date) -> PartitionTask:
    """Return a restored task whose last worker stopped during the sweep from one day to another."""
    applied, target = snapshot_of(before), snapshot_of(after)
    return restored(CommitMetadata(applied.id, target.id), applied, target)


def fold_of(task: PartitionTask) -> _Fold:
    """Return the fold of a task."""
    assert isinstance(task.fold, _Fold)
    return task.fold


def finish(task: PartitionTask) -> None:
    """Take all remaining sweep chunks."""
    while task.sweeps:
        task.sweep(Effects())


def test_no_sweep_where_the_metadata_names_the_newest_snapshot() -> None:
    """A partition whose commit metadata names its models emits nothing and commits nothing (C7)."""
    task = swept_on(FIRST)
    assert (fold_of(task).swept, task.sweeps, task.target_uncommitted) == ([], {}, False)
    assert task.metadata == CommitMetadata(snapshot_of(FIRST).id, snapshot_of(FIRST).id)
    assert not task.may_move_to(snapshot_of(FIRST))


def test_a_day_is_committed_before_any_output_under_it() -> None:
    """From the first chunk of a day's sweep to its last, the metadata names both days (C7, A9)."""
    task = swept_on(FIRST)
    assert task.may_move_to(snapshot_of(SECOND))
    task.move_to(snapshot_of(SECOND))
    uncommitted = [task.target_uncommitted]
    assert task.metadata == CommitMetadata(snapshot_of(FIRST).id, snapshot_of(SECOND).id, remaining=4, total=4)
    task.committed = task.metadata
    task.sweep(Effects())
    uncommitted.append(task.target_uncommitted)
    assert uncommitted == [True, False]
    assert task.metadata == CommitMetadata(snapshot_of(FIRST).id, snapshot_of(SECOND).id, remaining=1, total=4)
    finish(task)
    assert task.metadata == CommitMetadata(snapshot_of(SECOND).id, snapshot_of(SECOND).id)
    assert fold_of(task).swept == [OF_DAY[SECOND]]


def test_models_that_close_periods() -> None:
    """A move closes periods if any model closes one, or closes it again; not if one stays closed or is opened."""
    closed: JSON = {"org": "beta", "frozen_periods": ["2017-Q1"]}
    first, again = (compile_model(closed, n, closed_since={"2017-Q1": n}) for n in (1, 3))
    opened = compile_model({"org": "beta"}, 4)
    task = swept_on(FIRST)
    found = []
    for position, model in enumerate((first, first, again, opened, opened), 6):
        newest = snapshot_of(FIRST, position, beta=(model, position))
        found.append(task.move_to(newest))
    assert found == [True, False, True, False, False]


def test_a_successor_resumes_the_sweep_of_a_day() -> None:
    """It assumes that everything was emitted under the day before, and sweeps it to the day that was begun (C7, A9)."""
    task = half_swept(FIRST, SECOND)
    assert fold_of(task).restored_under == {"acme": OF_DAY[FIRST]}
    assert fold_of(task).unknown == frozenset()
    assert fold_of(task).swept == [OF_DAY[SECOND]]
    assert (task.applied, task.snapshot.models) == (snapshot_of(FIRST).id, {"acme": OF_DAY[SECOND]})
    assert not task.target_uncommitted


def test_no_third_day_while_a_sweep_is_left() -> None:
    """Records are emitted under at most two days at a time: the metadata names two (C7, A9)."""
    task = swept_on(FIRST)
    task.move_to(snapshot_of(SECOND))
    for day in (THIRD, FIRST):
        assert not task.may_move_to(snapshot_of(day))
    finish(task)
    assert task.may_move_to(snapshot_of(THIRD))
    assert task.may_move_to(snapshot_of(FIRST))  # a clock that was set back


def test_no_other_day_while_a_fan_out_is_left() -> None:
    """Its remaining followers were emitted under an earlier day: a third one would come in between (C7, A9)."""
    task = swept_on(FIRST)
    fold_of(task).unfinished_from = 0
    for day in (SECOND, THIRD):
        assert not task.may_move_to(snapshot_of(day))
    task.reprocess(Effects())
    assert task.may_move_to(snapshot_of(SECOND))


def test_a_new_model_does_not_wait_for_a_fan_out() -> None:
    """The fan-out continues under the new model (A8): neither the move nor the input waits."""
    task = swept_on(SECOND)
    fold_of(task).unfinished_from = 0
    newer = snapshot_of(SECOND, 9, acme=(NEXT, 9))
    assert task.may_move_to(newer)
    assert not task.awaits_fan_out(newer)


def test_the_input_waits_where_only_a_fan_out_delays_a_day() -> None:
    """New messages could prolong the fan-out for ever, and the day would never come (C7)."""
    task = swept_on(FIRST)
    assert not task.awaits_fan_out(snapshot_of(SECOND))
    fold_of(task).unfinished_from = 0
    assert task.awaits_fan_out(snapshot_of(SECOND))
    assert not task.awaits_fan_out(snapshot_of(FIRST))
    task.reprocess(Effects())
    assert not task.awaits_fan_out(snapshot_of(SECOND))


def test_the_input_does_not_wait_for_a_sweep() -> None:
    """A sweep ends whatever comes in, so nothing needs to be held back for it."""
    task = swept_on(FIRST)
    task.move_to(snapshot_of(SECOND))
    fold_of(task).unfinished_from = 0
    assert not task.awaits_fan_out(snapshot_of(THIRD))


def test_a_model_waits_for_the_sweep_of_a_day_only_if_that_was_resumed() -> None:
    """A new model takes effect at once. Only where two workers swept must both days be over (C7, A8, A9)."""
    newer = snapshot_of(SECOND, 9, acme=(NEXT, 9))
    own, resumed = swept_on(FIRST), half_swept(FIRST, SECOND)
    own.move_to(snapshot_of(SECOND))
    assert own.may_move_to(newer)
    assert not resumed.may_move_to(newer)
    finish(resumed)
    assert resumed.may_move_to(newer)


def test_an_organisation_activated_since_the_commit_is_emitted_again() -> None:
    """The other organisations keep what was emitted, also if this worker stops before the end (A9)."""
    applied = snapshot_of(FIRST)
    target = snapshot_of(FIRST, 9, beta=(OTHER, 9))
    task = restored(CommitMetadata(applied.id, applied.id), target, target, "beta")
    assert fold_of(task).unknown == {"beta"}
    assert list(task.sweeps) == ["beta"]
    assert task.target_uncommitted
    assert task.metadata.applied == applied.id
    assert task.revisions == {"acme": 1}
    finish(task)
    assert task.metadata.applied == target.id
    assert task.revisions == {"acme": 1, "beta": 1}


def test_a_loss_makes_the_metadata_void() -> None:
    """If the log or Redis has lost something, nothing counts as applied until everything is emitted again (A9)."""
    target = snapshot_of(FIRST, 9, beta=(OTHER, 5))
    task = restored(CommitMetadata(target.id, target.id), target, target, "beta")
    assert task.metadata.applied == SnapshotId()
    finish(task)
    assert task.metadata.applied == target.id


def test_a_new_edition_is_committed_with_nothing_applied_until_all_is_emitted_again() -> None:
    """A worker that stops half-way through the first sweep of an edition leaves a successor that begins it anew."""
    models = snapshot_of(FIRST)
    task = PartitionTask(_Fold(), {"t": 0})
    metadata = CommitMetadata(models.id, models.id)
    task.resume(metadata, models, models, frozenset({"acme"}), limit=LIMIT, edition=1)
    assert task.target_uncommitted
    assert (task.metadata.applied, task.metadata.edition) == (SnapshotId(), 1)
    finish(task)
    assert (task.metadata.applied, task.metadata.edition) == (models.id, 1)


def test_another_position_alone_needs_no_sweep() -> None:
    """A refused model moves the position on the model topic, and nothing else."""
    task = swept_on(FIRST)
    task.move_to(snapshot_of(FIRST, position=9))
    assert (task.sweeps, task.target_uncommitted) == ({}, False)
    assert task.metadata.applied == SnapshotId(9, FIRST.toordinal())


def test_records_to_sweep_count_down_with_the_chunks() -> None:
    """The number counts every pass of a sweep, falls with each chunk, and is 0 at the end."""
    models = snapshot_of(FIRST)
    task = restored(CommitMetadata(models.id, models.id), models, models, passes=2)
    assert task.records_to_sweep == 0
    task.move_to(snapshot_of(SECOND))
    left = [task.records_to_sweep]
    while task.sweeps:
        task.sweep(Effects())
        left.append(task.records_to_sweep)
    assert left == [8, 5, 4, 0]


# --- waiting for the upstream stage -----------------------------------------------------------


class _Waiting(_Fold):
    """Its sweeps wait before their second chunk."""

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        self.swept.append(model)
        return iter([Effects(), AWAIT_UPSTREAM, Effects()])


def waiting() -> PartitionTask:
    """Return a task whose sweep, for the model at position 7, waits for the upstream stage."""
    task = PartitionTask(_Waiting(), {"topic": 0})
    nothing = ModelSnapshot({}, {}, SnapshotId())
    task.resume(CommitMetadata(), nothing, nothing, frozenset(), limit=LIMIT)
    task.move_to(ModelSnapshot({"acme": ACME}, {"acme": 7}, SnapshotId(7)))
    task.sweep(Effects())
    task.sweep(Effects())
    return task


def test_a_sweep_waits_until_upstream_output_is_processed() -> None:
    """It goes on once the upstream stage has applied the model and all of its output by then is processed (V8)."""
    task = waiting()
    assert (task.is_sweeping, task.awaited_position, task.applied) == (False, 7, SnapshotId())
    task.upstream_applied(6, end=10)
    assert (task.is_sweeping, task.awaited_position) == (False, 7)
    task.upstream_applied(7, end=12)
    task.release_sweeps(11)
    assert (task.is_sweeping, task.awaited_position) == (False, None)
    task.release_sweeps(12)
    task.sweep(Effects())
    task.sweep(Effects())
    assert (task.sweeps, task.applied) == ({}, SnapshotId(7))


def test_a_newer_model_starts_its_own_sweep() -> None:
    """The wait of the superseded sweep ends, and the new sweep waits for its own model."""
    task = waiting()
    task.upstream_applied(7, end=12)
    task.move_to(ModelSnapshot({"acme": model_of(revision=2)}, {"acme": 9}, SnapshotId(9)))
    assert task.is_sweeping
    task.sweep(Effects())
    task.sweep(Effects())
    assert task.awaited_position == 9


def test_other_organisations_are_swept_meanwhile() -> None:
    """One organisation's wait delays no other."""
    task = waiting()
    task.move_to(
        ModelSnapshot(
            {"acme": task.snapshot.models["acme"], "other": model_of("other")}, {"acme": 7, "other": 8}, SnapshotId(8)
        )
    )
    assert task.is_sweeping
    task.sweep(Effects())
    task.sweep(Effects())
    assert (task.is_sweeping, task.awaited_position, sorted(task.sweeps)) == (False, 7, ["acme", "other"])


def test_each_input_is_held_back_at_its_own_oldest_unfinished_message() -> None:
    """Offsets of two topics can't be compared; a number alone counts for all of them (A9)."""
    task = PartitionTask(_Fold(), {"records": 10, "copies": 20})
    for topic, position in (("records", 15), ("copies", 40)):
        task.queue.add(topic, (), position)
    for unfinished, committed in (
        (None, {"records": 15, "copies": 40}),
        ({"copies": 30}, {"records": 15, "copies": 30}),
        ({"copies": 3, "records": 12}, {"records": 12, "copies": 20}),
        ({"copies": NO_MESSAGE}, {"records": 15, "copies": 40}),
        (12, {"records": 12, "copies": 20}),
    ):
        fold_of(task).unfinished_from = unfinished
        assert task.offsets_to_commit() == committed
        assert task.is_unfinished is (unfinished is not None)


def test_output_that_follows_from_no_message_repeats_nothing() -> None:
    """It is found again after a restore, so a move to other models need not wait for it."""
    task = PartitionTask(_Fold(), {"records": 10, "copies": 20})
    task.repeats_until = {"records": 10, "copies": 20}
    fold_of(task).unfinished_from = {"copies": 19}
    assert task.is_repeating
    fold_of(task).unfinished_from = {"copies": NO_MESSAGE}
    assert not task.is_repeating
