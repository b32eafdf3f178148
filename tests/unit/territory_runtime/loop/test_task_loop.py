"""The loop on ports in memory: crashes at every call, rebalances, zombies, restores and models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from territory.model.compiled import Model, compile_model
from territory_runtime.loop.model_snapshot import ModelSnapshot, SnapshotId
from tests.support.memory_group import CHANGELOG, SESSION_SECONDS, Group, Member

SEEDS = range(5)


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    """End what a test has left at work."""
    yield
    while GROUPS:
        GROUPS.pop().close()


GROUPS: list[Group] = []


def group_of(partitions: int = 1, seed: int = 0, **settings: str) -> Group:
    """Return a group without members."""
    group = Group(partitions, seed, **settings)
    GROUPS.append(group)
    return group


def with_work(seed: int = 0) -> tuple[Group, Member]:
    """Return a group of one worker that has processed a message and has two more to process."""
    group = group_of(seed=seed)
    group.publish("A")
    worker = group.join("a", [0])
    worker.idle()
    group.publish("A")
    group.publish("B")
    return group, worker


# --- crashes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_crash_at_any_call_loses_nothing_and_counts_nothing_twice(seed: int) -> None:
    """Whichever call to the outside is the last, the successor ends with the same output, sink and offset (A9)."""
    cuts = 0
    while True:
        group, worker = with_work(seed)
        for _ in range(cuts):
            if worker.labels <= {"poll", "sleep"} and not worker.reader_has_input:
                break
            worker.process.open(group.cluster.dice.choice(worker.process.gates))
        is_over = worker.labels <= {"poll", "sleep"} and not worker.reader_has_input and group.committed() == 3
        worker.process.kill()
        group.join("b", [0]).idle()
        assert group.outputs() == group.sunk() == {"A": 2, "B": 1}, f"cut after {cuts} calls"
        assert group.committed() == 3
        if is_over:
            break
        cuts += 1
    assert cuts > 5


def test_nothing_is_committed_before_it_is_published() -> None:
    """When a commit is on its way, outputs, changelog and sink are written (A9)."""
    group, worker = with_work()
    worker.go_on_until("send")
    while group.committed() < 3:
        worker.go_on_until("commit")
        done = group.outputs().get("B", 0)
        assert group.sunk() == group.outputs()
        assert len(group.cluster.log(CHANGELOG, 0)) >= 1 + done
        before = group.committed()
        worker.open("commit")
        assert group.committed() >= before
    assert group.outputs() == {"A": 2, "B": 1}


def test_a_stop_lets_the_batch_under_way_end() -> None:
    """It is committed, the group is left, and nothing is left to repeat."""
    group, worker = with_work()
    worker.go_on_until("send")
    worker.process.start(worker.loop.stop())
    while not worker.has_ended:
        worker.process.open(worker.process.gates[0])
    committed = group.committed()
    assert committed > 1
    assert not worker.reader.is_member
    group.join("b", [0]).idle()
    assert group.outputs() == {"A": 2, "B": 1}


# --- rebalances -------------------------------------------------------------------------------


def test_what_was_polled_before_a_rebalance_is_dropped() -> None:
    """A poll can outlast two rebalances: meanwhile another worker had the partition, and this memory is old (A9)."""
    group, worker = with_work()
    worker.go_on_until("poll at once") if "poll at once" in worker.labels else worker.go_on_until("poll")
    group.revoke(worker)
    other = group.join("b", [0])
    group.assign(worker, [])
    other.idle()
    assert group.outputs() == {"A": 2, "B": 1}
    group.publish("A")
    group.publish("A")
    group.revoke(other)
    group.assign(other, [])
    group.assign(worker, [0])
    worker.idle()
    assert group.outputs() == group.sunk() == {"A": 4, "B": 1}


def test_a_revocation_waits_for_the_batch_and_its_commit() -> None:
    """Then nothing is left for the next owner to repeat."""
    group, worker = with_work()
    worker.go_on_until("send")
    group.revoke(worker)
    assert worker.reader.assigned == {0}
    while "commit" not in worker.labels:
        worker.process.open(worker.process.gates[0])
    worker.open("commit")
    assert group.committed() > 1
    assert worker.loop._assigned == frozenset()


def test_a_partition_that_stays_is_not_restored_again() -> None:
    """Sticky assignment is worth something only if a rebalance costs a kept partition nothing."""
    group = group_of(2)
    group.publish("A", 0)
    worker = group.join("a", [0, 1])
    worker.idle()
    kept = worker.fold(0)
    group.revoke(worker)
    for _ in range(20):  # the loop goes round while the others join
        worker.process.open(worker.process.gates[0])
    group.assign(worker, [0])
    worker.idle()
    assert worker.active == {0}
    assert worker.fold(0) is kept
    group.publish("A", 0)
    worker.idle()
    assert group.outputs() == {"A": 2}


def test_a_partition_is_kept_while_a_rebalance_lasts() -> None:
    """A rebalance waits for every member. Rounds without an assignment drop neither a task nor a restore."""
    group = group_of(3)
    group.publish("A", 0)
    worker = group.join("a", [0])
    worker.idle()
    kept = worker.fold(0)
    group.revoke(worker)
    group.assign(worker, [0, 1])
    worker.go_on_until("restore")
    restoring = worker.gate("restore")
    group.revoke(worker)
    for _ in range(20):
        worker.process.open(next(gate for gate in worker.process.gates if gate is not restoring))
    assert worker.health.hindrances["counting"] == "waiting for its partitions"
    group.assign(worker, [0, 1, 2])
    worker.process.open(next(gate for gate in worker.process.gates if gate is not restoring))
    assert restoring in worker.process.gates
    worker.idle()
    assert worker.active == {0, 1, 2}
    assert worker.fold(0) is kept


def test_a_partition_that_another_worker_had_meanwhile_is_restored() -> None:
    """Its commits are not this worker's own."""
    group, worker = with_work()
    worker.idle()
    old = worker.fold(0)
    group.revoke(worker)
    group.assign(worker, [])
    other = group.join("b", [0])
    other.idle()
    group.revoke(other)
    group.assign(other, [])
    group.assign(worker, [0])
    worker.idle()
    assert worker.fold(0) is not old


# --- zombies ----------------------------------------------------------------------------------


def expelled_at(label: str) -> tuple[Group, Member]:
    """Return a group whose first worker froze before a call; the second has its partition, and is ahead."""
    group, zombie = with_work()
    zombie.go_on_until(label)
    group.expel(zombie)
    successor = group.join("b", [0])
    successor.idle()
    for _ in range(3):
        group.publish("A")
        group.publish("B")
    successor.idle()
    assert group.outputs() == group.sunk() == {"A": 5, "B": 4}
    return group, zombie


@pytest.mark.parametrize("label", ["send", "sink", "changelog", "commit"])
def test_a_zombie_writes_nothing(label: str) -> None:
    """A worker that froze in a batch for longer than its session overwrites no successor's output (A9).

    The lease stops it before Kafka, the epoch before the sink, and the group refuses its commit.
    """
    group, zombie = expelled_at(label)
    committed, changelog = group.committed(), len(group.cluster.log(CHANGELOG, 0))
    for _ in range(30):
        if not zombie.process.gates:
            break
        zombie.process.open(zombie.process.gates[0])
    assert group.outputs() == group.sunk() == {"A": 5, "B": 4}
    assert group.committed() == committed
    assert len(group.cluster.log(CHANGELOG, 0)) == changelog


def test_a_commit_amid_a_rebalance_renews_no_lease() -> None:
    """The group waits for a member for three sessions, and may expel it right after such a commit (A9).

    A restore commits its epoch beside a batch that hangs before its send.
    """
    group = group_of(2)
    worker = group.join("a", [0])
    worker.idle()
    group.models.before_reached = lambda: worker.process.gate("model")
    group.revoke(worker)
    group.assign(worker, [0, 1])
    group.publish("A", 0)
    for _ in range(200):
        if "send" in worker.labels:
            break
        others = [gate for gate in worker.process.gates if gate.label != "model"]
        worker.process.open(others[0])
    assert {"send", "model"} <= worker.labels
    group.revoke(worker)
    group.seconds += 3 * SESSION_SECONDS - 1
    worker.open("model")
    worker.open("commit")
    group.models.before_reached = None
    group.seconds += 2
    del group.cluster.members["counting"]["a"]
    successor = group.join("b", [0, 1])
    successor.idle()
    group.publish("A", 0)
    successor.idle()
    assert group.outputs() == {"A": 2}
    for _ in range(30):
        worker.process.open(worker.process.gates[0])
    assert group.outputs() == group.sunk() == {"A": 2}


def test_a_worker_that_was_frozen_and_not_expelled_goes_on() -> None:
    """The group confirms that the partitions are its own, and it sends what it had begun."""
    group, worker = with_work()
    worker.go_on_until("send")
    group.seconds += SESSION_SECONDS + 1
    worker.idle()
    assert group.outputs() == group.sunk() == {"A": 2, "B": 1}


def test_a_sink_that_lost_its_writes_is_filled_again() -> None:
    """It is noticed at the next write, or by an idle worker soon: then every organisation is reconciled."""
    group, worker = with_work()
    worker.idle()
    group.sink.found.clear()
    group.sink.fences.clear()
    group.publish("B")
    worker.idle()
    assert group.sunk()["B"] == 2


# --- restores ---------------------------------------------------------------------------------


def test_partitions_are_restored_side_by_side() -> None:
    """Each waits for its own messages only; one that is restored processes while others are not yet."""
    group = group_of(3)
    for number in range(3):
        group.publish(f"A{number}", number)
    group.join("before", range(3)).idle()
    group.members[0].process.kill()
    worker = group.join("a", range(3))
    for _ in range(200):
        if sum(gate.label == "restore" for gate in worker.process.gates) == 3:
            break
        worker.process.open(next(gate for gate in worker.process.gates if gate.label != "restore"))
    first, *others = [gate for gate in worker.process.gates if gate.label == "restore"]
    worker.process.open(first)
    for _ in range(200):
        if worker.active:
            break
        worker.process.open(next(gate for gate in worker.process.gates if gate not in others))
    assert len(worker.active) == 1
    assert all(gate in worker.process.gates for gate in others)
    assert "restoring partitions" in worker.health.hindrances["counting"]
    worker.idle()
    assert worker.health.hindrances == {}


def test_a_revocation_does_not_wait_for_a_restore() -> None:
    """It is answered at once; the restore of a partition that goes is dropped, of one that stays goes on."""
    group = group_of(2)
    worker = group.join("a", [0, 1])
    for _ in range(200):
        if sum(gate.label == "restore" for gate in worker.process.gates) == 2:
            break
        worker.process.open(next(gate for gate in worker.process.gates if gate.label != "restore"))
    restoring = [gate for gate in worker.process.gates if gate.label == "restore"]
    group.revoke(worker)
    assert worker.loop._assigned == frozenset()
    for _ in range(20):
        worker.process.open(next(gate for gate in worker.process.gates if gate not in restoring))
    group.assign(worker, [0])
    for _ in range(20):
        worker.process.open(next(gate for gate in worker.process.gates if gate not in restoring))
    assert sum(gate in worker.process.gates for gate in restoring) == 1
    worker.idle()
    assert worker.active == {0}


def test_the_sink_is_walked_through_once_for_all_partitions() -> None:
    """When a model was applied while no worker ran, every partition needs it: one walk serves all."""
    group = group_of(3)
    group.join("before", range(3)).idle()
    group.members[0].process.kill()
    model = compile_model({"org": "acme"}, 1)
    group.models.newest = ModelSnapshot({"acme": model}, {"acme": 7}, SnapshotId(7))
    worker = group.join("a", range(3))
    worker.idle()
    assert group.sink.reconciled == [[0, 1, 2]]
    assert worker.active == {0, 1, 2}


def test_a_restore_that_a_rebalance_has_cut_short_is_begun_anew() -> None:
    """Its epoch could not be committed; the active partitions go on all the same."""
    group = group_of(2)
    worker = group.join("a", [0])
    worker.idle()
    kept = worker.fold(0)
    group.revoke(worker)
    group.assign(worker, [0, 1])
    worker.go_on_until("commit")
    del group.cluster.members["counting"]["a"]
    worker.open("commit")
    group.cluster.members["counting"]["a"] = worker.reader
    worker.idle()
    assert worker.active == {0, 1}
    assert worker.fold(0) is kept


# --- models -----------------------------------------------------------------------------------


def activate(group: Group, *documents: tuple[dict[str, Any], int], position: int) -> None:
    """Put models into effect."""
    models: dict[str, Model] = {}
    for document, revision in documents:
        closed = dict.fromkeys(document.get("frozen_periods", ()), revision)
        models[str(document["org"])] = compile_model(document, revision, closed_since=closed)
    group.models.newest = ModelSnapshot(models, dict.fromkeys(models, position), SnapshotId(position))


def test_one_partition_a_round_closes_periods() -> None:
    """Each counts all its deals at once; all of them in one round could outlast the session (F12)."""
    group = group_of(3)
    worker = group.join("a", range(3))
    worker.idle()
    activate(group, ({"org": "acme"}, 1), position=1)
    worker.idle()
    activate(group, ({"org": "acme", "frozen_periods": ["2017-Q1"]}, 2), position=2)
    moved = []
    for _ in range(200):
        worker.process.open(worker.process.gates[0])
        now = sum(task.snapshot is group.models.newest for task in worker.loop._tasks.values())
        if now not in moved:
            moved.append(now)
        if now == 3:
            break
    assert moved in ([1, 2, 3], [0, 1, 2, 3])


def test_a_target_snapshot_is_committed_before_output_under_it() -> None:
    """Else a successor would take the output for one of the snapshot before (C7, A9)."""
    group = group_of(1)
    worker = group.join("a", [0])
    worker.idle()
    activate(group, ({"org": "acme"}, 1), position=4)
    group.publish("A")
    task = worker.loop._tasks[0]
    while task.snapshot.id != SnapshotId(4):
        worker.process.open(worker.process.gates[0])
    assert worker.labels == {"commit"}
    worker.open("commit")
    assert task.committed is not None
    assert task.committed.target == SnapshotId(4)


def test_organisations_that_come_after_the_model_topic_was_replaced() -> None:
    """Their output under the topic before is not known: their partitions are restored anew (A9)."""
    group = group_of(1)
    worker = group.join("a", [0])
    activate(group, ({"org": "acme"}, 1), position=1)
    worker.idle()
    old = worker.fold(0)
    group.models.was_replaced = True
    activate(group, ({"org": "acme"}, 1), ({"org": "gamma"}, 1), position=2)
    worker.idle()
    assert worker.fold(0) is not old


def test_folds_are_read_between_batches_only() -> None:
    """What they say is published then (drift monitors, point queries)."""
    group, worker = with_work()
    worker.go_on_until("commit")
    seen: list[int] = []

    async def look(folds: object) -> None:
        seen.append(group.committed())

    worker.process.start(worker.loop.between_batches(look))
    assert seen == []
    worker.open("commit")
    assert seen == [group.committed()]
