"""One partition passes from model to model, and whoever takes over knows what was said under which."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from territory.model.compiled import Model, compile_model
from territory.stage import AWAIT_UPSTREAM, Effects, InputMessage, Models, SweepChunk, WithoutFanOut
from territory.wire.codec import JSON
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import ModelSnapshot, SnapshotId
from territory_runtime.loop.partition_task import PartitionTask

FIRST, SECOND, THIRD = date(2017, 2, 28), date(2017, 3, 1), date(2017, 3, 2)
SWEPT = (3, 1)
RECORDS = 4
LIMIT = 2


class _Fold(WithoutFanOut):
    """Says which models it is told of; its sweeps have two slices."""

    def __init__(self) -> None:
        self.restored_under: dict[str, Model] = {}
        self.unknown: frozenset[str] = frozenset()
        self.applied: list[Model] = []

    def restore(self, message: InputMessage) -> None: ...

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        self.restored_under, self.unknown = dict(models), unknown

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None: ...

    def flush(self, models: Models, effects: Effects) -> None: ...

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        self.applied.append(model)
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


def in_effect(day: date, position: int = 5, **others: tuple[Model, int]) -> ModelSnapshot:
    """Return what is in effect on a day: acme's model, activated at 5, unless another is given."""
    models = {"acme": OF_DAY[day]} | {model.org_id: model for model, _ in others.values()}
    activated_at = {"acme": 5} | {model.org_id: offset for model, offset in others.values()}
    return ModelSnapshot(models, activated_at, SnapshotId(position, day.toordinal()))


def task(
    note: CommitMetadata, swept: ModelSnapshot, towards: ModelSnapshot, *unknown: str, passes: int = 1
) -> PartitionTask:
    """Return a partition that was restored."""
    part = PartitionTask(_Fold(), {"t": 0})
    part.resume(note, swept, towards, frozenset(unknown), limit=LIMIT, passes=passes)
    return part


def clean(day: date) -> PartitionTask:
    """Return a partition that was restored and had everything swept for a day."""
    models = in_effect(day)
    return task(CommitMetadata(models.id, models.id), models, models)


def amid(before: date, after: date) -> PartitionTask:
    """Return a partition whose last worker stopped between two days."""
    swept, towards = in_effect(before), in_effect(after)
    return task(CommitMetadata(swept.id, towards.id), swept, towards)


def fold_of(part: PartitionTask) -> _Fold:
    """Return the fold of a partition."""
    assert isinstance(part.fold, _Fold)
    return part.fold


def finish(part: PartitionTask) -> None:
    """Take all slices that are left."""
    while part.sweeps:
        part.sweep(Effects())


def test_nothing_is_swept_where_everything_is_emitted() -> None:
    """A partition whose metadata names its models emits nothing, and commits nothing (C7)."""
    part = clean(FIRST)
    assert (fold_of(part).applied, part.sweeps, part.target_uncommitted) == ([], {}, False)
    assert part.metadata == CommitMetadata(in_effect(FIRST).id, in_effect(FIRST).id)
    assert not part.may_move_to(in_effect(FIRST))


def test_a_day_is_committed_before_output_under_it() -> None:
    """From the first chunk of a day's sweep to its last, the metadata names both days (C7, A9)."""
    part = clean(FIRST)
    assert part.may_move_to(in_effect(SECOND))
    part.move_to(in_effect(SECOND))
    untold = [part.target_uncommitted]
    assert part.metadata == CommitMetadata(in_effect(FIRST).id, in_effect(SECOND).id, remaining=4, total=4)
    part.committed = part.metadata
    part.sweep(Effects())
    untold.append(part.target_uncommitted)
    assert untold == [True, False]
    assert part.metadata == CommitMetadata(in_effect(FIRST).id, in_effect(SECOND).id, remaining=1, total=4)
    finish(part)
    assert part.metadata == CommitMetadata(in_effect(SECOND).id, in_effect(SECOND).id)
    assert fold_of(part).applied == [OF_DAY[SECOND]]


def test_models_that_close_periods() -> None:
    """A period that is closed, or closed again, under a model of any organisation; not one that stays or is opened."""
    closed: JSON = {"org": "beta", "frozen_periods": ["2017-Q1"]}
    first, again = (compile_model(closed, n, closed_since={"2017-Q1": n}) for n in (1, 3))
    opened = compile_model({"org": "beta"}, 4)
    part = clean(FIRST)
    found = []
    for position, model in enumerate((first, first, again, opened, opened), 6):
        newest = in_effect(FIRST, position, beta=(model, position))
        found.append(part.move_to(newest))
    assert found == [True, False, True, False, False]


def test_a_successor_resumes_the_days_sweep() -> None:
    """It assumes that everything was emitted under the previous day, and sweeps to the day that was begun (C7, A9)."""
    part = amid(FIRST, SECOND)
    assert fold_of(part).restored_under == {"acme": OF_DAY[FIRST]}
    assert fold_of(part).unknown == frozenset()
    assert fold_of(part).applied == [OF_DAY[SECOND]]
    assert (part.applied, part.snapshot.models) == (in_effect(FIRST).id, {"acme": OF_DAY[SECOND]})
    assert not part.target_uncommitted


def test_no_third_day_while_a_sweep_is_left() -> None:
    """A record may have been emitted under two days, never under three: the metadata names two (C7, A9)."""
    part = clean(FIRST)
    part.move_to(in_effect(SECOND))
    for day in (THIRD, FIRST):
        assert not part.may_move_to(in_effect(day))
    finish(part)
    assert part.may_move_to(in_effect(THIRD))
    assert part.may_move_to(in_effect(FIRST))  # a clock that was set back


def test_a_model_does_not_wait_for_the_days_sweep_but_where_that_was_resumed() -> None:
    """Its first effects come at once; only after a predecessor's sweep must that one end first (C7, A8, A9)."""
    newer = in_effect(SECOND, 9, acme=(NEXT, 9))
    own, resumed = clean(FIRST), amid(FIRST, SECOND)
    own.move_to(in_effect(SECOND))
    assert own.may_move_to(newer)
    assert not resumed.may_move_to(newer)
    finish(resumed)
    assert resumed.may_move_to(newer)


def test_organisations_activated_since_are_emitted_again() -> None:
    """The others stay as they were emitted, also when this worker stops before the sweep has ended (A9)."""
    swept = in_effect(FIRST)
    now = in_effect(FIRST, 9, beta=(OTHER, 9))
    part = task(CommitMetadata(swept.id, swept.id), now, now, "beta")
    assert fold_of(part).unknown == {"beta"}
    assert list(part.sweeps) == ["beta"]
    assert part.target_uncommitted
    assert part.metadata.applied == swept.id
    assert part.revisions == {"acme": 1}
    finish(part)
    assert part.metadata.applied == now.id
    assert part.revisions == {"acme": 1, "beta": 1}


def test_organisations_unknown_for_other_reasons_leave_nothing_known() -> None:
    """Where the log or Redis has lost something, the metadata counts as none until everything is emitted again (A9)."""
    now = in_effect(FIRST, 9, beta=(OTHER, 5))
    part = task(CommitMetadata(now.id, now.id), now, now, "beta")
    assert part.metadata.applied == SnapshotId()
    finish(part)
    assert part.metadata.applied == now.id


def test_another_position_alone_is_no_reason_to_sweep() -> None:
    """A model that was refused moves the position, and nothing else."""
    part = clean(FIRST)
    part.move_to(in_effect(FIRST, position=9))
    assert (part.sweeps, part.target_uncommitted) == ({}, False)
    assert part.metadata.applied == SnapshotId(9, FIRST.toordinal())


def test_records_left_are_counted_by_slices() -> None:
    """Those that its chunks have not passed yet, over all passes of the sweep; none at its end."""
    models = in_effect(FIRST)
    part = task(CommitMetadata(models.id, models.id), models, models, passes=2)
    assert part.records_to_sweep == 0
    part.move_to(in_effect(SECOND))
    left = [part.records_to_sweep]
    while part.sweeps:
        part.sweep(Effects())
        left.append(part.records_to_sweep)
    assert left == [8, 5, 4, 0]


# --- waiting for the stage before -------------------------------------------------------------


class _Waiting(_Fold):
    """Its sweeps wait before their second slice."""

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        self.applied.append(model)
        return iter([Effects(), AWAIT_UPSTREAM, Effects()])


def waiting() -> PartitionTask:
    """Return a partition whose sweep of the model at position 7 has come to where it waits."""
    task = PartitionTask(_Waiting(), {"topic": 0})
    nothing = ModelSnapshot({}, {}, SnapshotId())
    task.resume(CommitMetadata(), nothing, nothing, frozenset(), limit=LIMIT)
    task.move_to(ModelSnapshot({"acme": ACME}, {"acme": 7}, SnapshotId(7)))
    task.sweep(Effects())
    task.sweep(Effects())
    return task


def test_a_sweep_waits_until_all_is_decided_and_taken() -> None:
    """Not before the upstream stage has swept for the model, and all of its output up to then is processed (V8)."""
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


def test_a_newer_model_begins_anew() -> None:
    """The newer sweep waits anew."""
    task = waiting()
    task.upstream_applied(7, end=12)
    task.move_to(ModelSnapshot({"acme": model_of(revision=2)}, {"acme": 9}, SnapshotId(9)))
    assert task.is_sweeping
    task.sweep(Effects())
    task.sweep(Effects())
    assert task.awaited_position == 9


def test_others_are_swept_meanwhile() -> None:
    """A waiting organisation delays no other one."""
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
