"""The contract of the access index: tests that every sink passes.

`test_index.py` runs it in memory, without a server; `tests/integration/test_index.py` runs it on a Redis, the
embedded Redis and a Redis Cluster. Which Redis keys hold what is tested by `tests/integration/test_redis_index.py`.
"""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access_indexer.core.changes import AdminsState, RecordState, SetChange
from territory.wire.keys import partition_of, record_key
from territory_runtime.loop.stage import Progress
from territory_runtime.redis.fencing import Fenced, SinkRolledBack
from tests.contracts.index_examples import (
    KINDS,
    STAGE,
    Entries,
    IndexSink,
    apply_to,
    changes,
    last_of_each_entry,
    progress,
    put,
    request,
    state,
    take,
)

MANY = 2_501
"""More than fits into one command, one script or one page of a walk."""


def no_beat() -> None:
    """Report progress to nobody."""


class Index(Protocol):
    """One implementation of the index, while a test has it open."""

    def worker(self, partitions: int = 1) -> IndexSink:
        """Return the sink of one more worker."""

    async def entries(self, org_id: str) -> Entries:
        """Return all entries of an organisation."""

    async def lose(self) -> None:
        """Lose everything, fences too."""


class IndexContract(ABC):
    """The contract. A subclass opens an implementation."""

    counter: ClassVar[Iterator[int]] = itertools.count()

    @abstractmethod
    def opened(self) -> AbstractAsyncContextManager[Index]:
        """Open the index without fences of other tests; entries of their organisations may be there."""

    def play(self, acts: Callable[[Index, str], Awaitable[None]]) -> None:
        """Run a test with the index and an organisation of its own."""

        async def acted() -> None:
            async with self.opened() as index:
                await acts(index, f"org-{next(self.counter)}")

        asyncio.run(acted())

    # --- apply --------------------------------------------------------------------------------

    def test_applied_changes_can_be_read(self) -> None:
        """Sets, administrators and record hashes hold what was applied, and nothing of another organisation."""

        async def acts(index: Index, org: str) -> None:
            await index.worker().apply(
                [
                    AdminsState(org, frozenset({"root", "cleo"})),
                    SetChange(org, "visible", "ann", "account", ["A-1", "é:{/}"], True),
                    put(org, "A-1", user_id="é:{/}"),
                    put(org, "A-1", kind="editable"),
                    put(f"{org}-2", "A-2"),
                    state(org, "A-1", 7, "west", "é"),
                    RecordState(org, "deal", "é:{/}", 1, None, (), 4),
                ],
                [],
            )
            assert await index.entries(org) == Entries(
                visible={("ann", "account"): {"A-1", "é:{/}"}, ("é:{/}", "account"): {"A-1"}},
                editable={("ann", "account"): {"A-1"}},
                admins={"root", "cleo"},
                records={("account", "A-1"): (7, "ann", ("west", "é"), 4), ("deal", "é:{/}"): (1, None, (), 4)},
            )
            assert (await index.entries(f"{org}-2")).visible == {("ann", "account"): {"A-2"}}

        self.play(acts)

    def test_deleted_record_leaves_nothing(self) -> None:
        """A deleted record is in no set and has no hash (V7)."""

        async def acts(index: Index, org: str) -> None:
            sink = index.worker()
            await sink.apply([put(org, "A-1"), state(org, "A-1"), AdminsState(org, frozenset({"root"}))], [])
            await sink.apply([put(org, "A-1", False), state(org, "A-1", None), AdminsState(org, frozenset())], [])
            assert await index.entries(org) == Entries()

        self.play(acts)

    def test_many_changes_in_one_call(self) -> None:
        """More changes than fit into one command or script are all applied."""
        ids = {f"A-{number}" for number in range(MANY)}
        users = [f"u{number}" for number in range(500)]

        async def acts(index: Index, org: str) -> None:
            sink = index.worker()
            whole = SetChange(org, "visible", "ann", "account", sorted(ids), True)
            await sink.apply([whole, *(state(org, each) for each in ids)], [])
            await sink.apply([put(org, "A-1", True, kind, user) for kind in KINDS for user in users], [])
            found = await index.entries(org)
            assert found.visible.pop(("ann", "account")) == ids
            assert found.visible == found.editable == {(user, "account"): {"A-1"} for user in users}
            assert {record_id for _, record_id in found.records} == ids
            await sink.apply([whole._replace(present=False)], [])
            assert ("ann", "account") not in (await index.entries(org)).visible

        self.play(acts)

    @settings(suppress_health_check=[HealthCheck.differing_executors], max_examples=20)
    @given(data=st.data())
    def test_last_change_of_an_entry_wins(self, data: st.DataObject) -> None:
        """Of several changes of one entry the last counts, in any split into calls; a repeated call is harmless (A9).

        Within one call the fold changes an entry of a set only once.
        """
        calls = data.draw(st.lists(st.lists(changes(), max_size=6), max_size=4))

        async def acts(index: Index, org: str) -> None:
            sink, expected = index.worker(), Entries()
            for call in calls:
                made = last_of_each_entry([make(org) for make in call])
                for _ in range(2):
                    await sink.apply(list(made), [])
                for change in made:
                    apply_to(expected, change)
                assert await index.entries(org) == expected

        self.play(acts)

    # --- progress -----------------------------------------------------------------------------

    def test_revision_is_the_lowest_of_all_partitions(self) -> None:
        """The index has no revision until every partition has one, then the lowest number (V8)."""

        async def acts(index: Index, org: str) -> None:
            workers = [index.worker(2), index.worker(2)]
            found = []
            for partition, revision in ((0, 3), (1, 3), (0, 4), (1, 5), (0, 10), (1, 9)):
                await take(workers[partition], partition)
                await workers[partition].apply([], [progress(org, revision, partition)])
                found.append((await index.entries(org)).revision)
            assert found == [None, 3, 3, 4, 5, 9]

        self.play(acts)

    def test_reconciled_partition_writes_its_revision_again(self) -> None:
        """A reconcile forgets the written progress, also of a partition without unknown organisations (A9)."""

        async def acts(index: Index, org: str) -> None:
            sink = index.worker()
            await take(sink, 0)
            await sink.apply([], [progress(org, 3)])
            await index.lose()
            await take(sink, 0)
            await sink.reconcile([request(org)], no_beat)
            await sink.apply([], [progress(org, 3)])
            assert (await index.entries(org)).revision == 3

        self.play(acts)

    # --- reconcile ----------------------------------------------------------------------------

    def test_orphans_are_removed(self) -> None:
        """Entries of unknown organisations that the fold does not give are removed; the others stay (V7, V8)."""
        ids = ("A-1", "A:{2}", "gone", "gone:{/}")

        async def acts(index: Index, org: str) -> None:
            sink, orgs = index.worker(), (org, f"{org}-2")
            await take(sink, 0)
            for each in orgs:
                sets = [SetChange(each, kind, user, "account", ids, True) for kind in KINDS for user in ("ann", "bob")]
                await sink.apply([*sets], [])
                await sink.apply([state(each, id_) for id_ in ids], [progress(each, 1)])
            beats: list[None] = []
            await sink.reconcile([request(*orgs, orgs=orgs, owned=ids[:2])], lambda: beats.append(None))
            for each in orgs:
                found = await index.entries(each)
                assert found.visible == found.editable == {("ann", "account"): {"A-1", "A:{2}"}}
                assert {record_id for _, record_id in found.records} == {"A-1", "A:{2}"}
            assert beats  # the walk may take longer than a worker may be silent

        self.play(acts)

    def test_orphans_of_several_partitions_are_removed_together(self) -> None:
        """Each request removes the orphans of its own partition and of its own organisations (V8)."""
        ids = [f"A-{number}" for number in range(40)]

        async def acts(index: Index, org: str) -> None:
            sink, other = index.worker(4), f"{org}-2"
            await take(sink, 0, 1, 2, 3)
            for each in (org, other):
                await sink.apply([SetChange(each, "visible", "ann", "account", ids, True)], [])
                await sink.apply([state(each, id_) for id_ in ids], [])
            wanted = {0: [org], 1: [other], 2: [], 3: [org, other]}
            kept = ids[::2]
            await sink.reconcile(
                [
                    request(org, other, orgs=orgs, owned=kept, partition=number, partitions=4)
                    for number, orgs in wanted.items()
                ],
                no_beat,
            )
            for each in (org, other):
                left = {
                    id_
                    for id_ in ids
                    if id_ in kept or each not in wanted[partition_of(record_key(each, "account", id_), 4)]
                }
                assert set(kept) < left < set(ids)
                found = await index.entries(each)
                assert found.visible == {("ann", "account"): left}
                assert {record_id for _, record_id in found.records} == left

        self.play(acts)

    def test_each_request_uses_its_own_models(self) -> None:
        """A partition whose snapshot has no model for an organisation removes all of it; another keeps its own (V1)."""
        ids = [f"A-{number}" for number in range(20)]

        async def acts(index: Index, org: str) -> None:
            sink = index.worker(2)
            await take(sink, 0, 1)
            await sink.apply([SetChange(org, "visible", "ann", "account", ids, True)], [])
            with_model, without = (request(org, orgs=[org], owned=ids, partition=each, partitions=2) for each in (0, 1))
            await sink.reconcile([with_model, without._replace(models={})], no_beat)
            kept = {each for each in ids if partition_of(record_key(org, "account", each), 2) == 0}
            assert (await index.entries(org)).visible == {("ann", "account"): kept}

        self.play(acts)

    def test_known_organisation_is_left_alone(self) -> None:
        """Nothing is removed of an organisation whose entries are known (V8)."""

        async def acts(index: Index, org: str) -> None:
            sink = index.worker()
            await take(sink, 0)
            await sink.apply([put(org, "gone"), state(org, "gone")], [progress(org, 1)])
            before = await index.entries(org)
            await sink.reconcile([request(org)], no_beat)
            assert await index.entries(org) == before

        self.play(acts)

    def test_other_partitions_and_organisations_are_left_alone(self) -> None:
        """A partition removes entries of its own records only, and of no organisation with a similar name (V8)."""
        ids = [f"A-{number}" for number in range(MANY)]

        async def acts(index: Index, org: str) -> None:
            sink, similar = index.worker(2), f"{org}-2"
            await take(sink, 1)
            await sink.apply([put(each_org, each) for each_org in (org, similar) for each in ids], [])
            await sink.apply([state(similar, "A-1")], [])
            await sink.reconcile([request(org, orgs=[org], partition=1, partitions=2)], no_beat)
            others = {each for each in ids if partition_of(record_key(org, "account", each), 2) == 0}
            assert (await index.entries(org)).visible == {("ann", "account"): others}
            left = await index.entries(similar)
            assert left.visible == {("ann", "account"): set(ids)}
            assert list(left.records) == [("account", "A-1")]

        self.play(acts)

    # --- fences -------------------------------------------------------------------------------

    def test_earlier_owner_is_fenced(self) -> None:
        """Nothing is written under an older epoch once a later one has begun (A9)."""

        async def acts(index: Index, org: str) -> None:
            before, after = index.worker(2), index.worker(2)
            assert await before.fences.take(0, 1, 0) == (1, False)
            assert await before.fences.take(1, 1, 0) == (1, False)
            await before.apply([put(org, "a")], [progress(org, 1, 0), progress(org, 1, 1)])
            written = before.fences.write_sequence(0)
            assert written > 0
            assert await after.fences.take(0, 2, written) == (2, True)
            for partitions in ((0,), (1, 0)):
                with pytest.raises(Fenced):
                    await before.apply(
                        [put(org, "b"), state(org, "b")], [progress(org, 2, each) for each in partitions]
                    )
            with pytest.raises(Fenced):
                await before.reconcile([request(org, orgs=[org])], no_beat)
            await before.apply([put(org, "c")], [progress(org, 1, 1)])  # partition 1 has no later epoch
            await after.apply([put(org, "d")], [progress(org, 1, 0)])
            assert (await index.entries(org)).visible == {("ann", "account"): {"a", "c", "d"}}
            assert after.fences.write_sequence(0) > written

        self.play(acts)

    def test_removals_go_out_under_the_fence_of_their_partition(self) -> None:
        """A reconcile of two partitions removes nothing of the one that another worker has taken (A9)."""
        ids = [f"A-{number}" for number in range(20)]

        async def acts(index: Index, org: str) -> None:
            before, after = index.worker(2), index.worker(2)
            await take(before, 0, 1)
            await before.apply([SetChange(org, "visible", "ann", "account", ids, True)], [])
            await take(after, 1)
            with pytest.raises(Fenced):
                await before.reconcile(
                    [request(org, orgs=[org], partition=each, partitions=2) for each in (0, 1)], no_beat
                )
            fenced = {each for each in ids if partition_of(record_key(org, "account", each), 2) == 1}
            assert fenced
            assert (await index.entries(org)).visible[("ann", "account")] >= fenced
            await before.reconcile([request(org, orgs=[org], partition=0, partitions=2)], no_beat)
            assert (await index.entries(org)).visible == {("ann", "account"): fenced}

        self.play(acts)

    def test_older_epoch_does_not_begin(self) -> None:
        """A worker that was suspended after the assignment finds a later epoch, and begins none."""

        async def acts(index: Index, org: str) -> None:
            late, present = index.worker(), index.worker()
            assert await present.fences.take(0, 7, 0) == (7, False)
            assert await late.fences.take(0, 6, 0) == (7, False)
            await present.apply([put(org, "a")], [progress(org, 1)])
            assert late.fences.write_sequence(0) == 0

        self.play(acts)

    def test_lost_writes_are_detected(self) -> None:
        """The next write fails and writes nothing, and so does the next assignment, until less is asked for."""

        async def acts(index: Index, org: str) -> None:
            worker = index.worker()
            await worker.fences.take(0, 1, 0)
            await worker.apply([put(org, "a")], [progress(org, 1)])
            written = worker.fences.write_sequence(0)
            await index.lose()
            with pytest.raises(SinkRolledBack):
                await worker.apply([put(org, "b")], [progress(org, 1)])
            assert await index.entries(org) == Entries()
            for epoch in (2, 3):  # if the first successor ends at once, the second must detect the loss, too
                successor = index.worker()
                assert await successor.fences.take(0, epoch, written) == (epoch, False)
            # Once the commit metadata marks everything as unknown, no writes are asked for:
            assert await successor.fences.take(0, 4, 0) == (4, True)
            await successor.apply([put(org, "a")], [progress(org, 1)])
            assert await index.worker().fences.take(0, 5, successor.fences.write_sequence(0)) == (5, True)
            assert await index.entries(org) == Entries(visible={("ann", "account"): {"a"}}, revision=1)

        self.play(acts)

    def test_empty_batch_detects_lost_writes(self) -> None:
        """A batch without changes checks the fences, so an idle worker detects a loss, too."""

        async def acts(index: Index, org: str) -> None:
            worker = index.worker()
            await worker.fences.take(0, 1, 0)
            await worker.apply([put(org, "a")], [progress(org, 1)])
            before = worker.fences.write_sequence(0)
            await worker.apply([], [Progress(STAGE, 0, 11, {})])
            assert worker.fences.write_sequence(0) == before + 1
            await index.lose()
            with pytest.raises(SinkRolledBack):
                await worker.apply([], [Progress(STAGE, 0, 12, {})])

        self.play(acts)
