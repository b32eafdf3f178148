"""What the access index means, for every form of it: the suite that all of its stores pass.

`test_index.py` runs it in memory, where no server is needed; `tests/integration/test_index.py` on a
Redis, the embedded Redis and a Redis Cluster. What a form writes in which key is for its own tests.
"""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, SetChange, SetKind
from access_indexer.core.stage import AccessFold
from territory.model.compiled import Model, compile_model
from territory.stage import InputMessage, Models
from territory.wire.events import Assignment, Link
from territory.wire.keys import partition_of, record_key
from territory.wire.topics import ASSIGNMENTS
from territory_runtime.loop.stage import Progress
from territory_runtime.redis.fencing import Fenced, SinkRolledBack

STAGE = "access-indexer"
NOTHING: frozenset[str] = frozenset()
KINDS: tuple[SetKind, SetKind] = ("visible", "editable")
MANY = 2_501
"""More than one command, one script and one page of a walk take."""

Result = TypeVar("Result")


@dataclass
class Entries:
    """All that an index holds of one organisation."""

    visible: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """Record ids by user and object, as in `editable`; a set without any is not there."""
    editable: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    admins: set[str] = field(default_factory=set)
    records: dict[tuple[str, str], tuple[int, str | None, tuple[str, ...], int]] = field(default_factory=dict)
    """Version, owner, territories and the model's revision, by object and id."""
    revision: int | None = None
    """That all partitions are under."""


class Index(Protocol):
    """The port: what a worker of the access indexer writes to."""

    fences: Any

    async def apply(self, changes: list[IndexChange], progress: list[Progress]) -> None:
        """Make changes, then note the progress."""

    async def reconcile(
        self, partition: int, fold: Any, models: Models, unknown: frozenset[str], beat: Callable[[], None]
    ) -> None:
        """Take out what must not be there."""


class Place(Protocol):
    """One form of the index, while a test has it open."""

    def worker(self, partitions: int = 1) -> Index:
        """Return what one more worker writes with."""

    async def entries(self, org_id: str) -> Entries:
        """Return what is there of an organisation."""

    async def lose(self) -> None:
        """Lose everything, fences too."""


def put(org: str, record_id: str, present: bool = True, kind: SetKind = "visible", user_id: str = "ann") -> SetChange:
    return SetChange(org, kind, user_id, "account", [record_id], present)


def stands(org: str, record_id: str, version: int | None = 1, *territories: str) -> RecordState:
    if version is None:
        return RecordState(org, "account", record_id, None)
    return RecordState(org, "account", record_id, version, "ann", territories, 4)


def progress(org: str, revision: int, partition: int = 0) -> Progress:
    return Progress(STAGE, partition, 10, {org: revision})


def model_of(org: str) -> Model:
    """Return a model where the owner is all who sees a record."""
    return compile_model({"org": org, "roles": [{"id": "rep"}], "users": [{"id": "ann", "role": "rep"}]}, 1)


def fold_of(
    *orgs: str, owned: Sequence[str] = (), partition: int = 0, partitions: int = 1
) -> tuple[AccessFold, Models]:
    """Return a partition whose memory has some accounts of Ann's, and the models."""
    fold, models = AccessFold(partition, partitions), {org: model_of(org) for org in orgs}
    for org, record_id in itertools.product(orgs, owned):
        assignment = Assignment(org, "account", record_id, 1, 1, "ann", (Link("west", ("rule",), ()),))
        fold.restore(InputMessage(ASSIGNMENTS.name, assignment.key, assignment, {}))
    fold.restored(models, NOTHING)
    return fold, models


async def take(index: Index, *partitions: int) -> int:
    """Have a worker begin a term of partitions, later than any before; return that of the last."""
    term = 0
    for partition in partitions:
        term, found = 1, 0
        while found != term:
            term = found + 1
            found, _ = await index.fences.take(partition, term, 0)
    return term


class IndexContract(ABC):
    """The suite. A form of the index is a subclass that opens it."""

    counter: ClassVar[Iterator[int]] = itertools.count()

    @abstractmethod
    def opened(self) -> AbstractAsyncContextManager[Place]:
        """Open the form, without fences of tests before; what they left of their organisations may be there."""

    def play(self, acts: Callable[[Place, str], Awaitable[None]]) -> None:
        """Let a test act on the form, with an organisation of its own."""

        async def acted() -> None:
            async with self.opened() as place:
                await acts(place, f"org-{next(self.counter)}")

        asyncio.run(acted())

    # --- apply --------------------------------------------------------------------------------

    def test_what_is_applied_is_there(self) -> None:
        """Who sees and edits what, who is an administrator, where records stand; nothing of another organisation."""

        async def acts(place: Place, org: str) -> None:
            await place.worker().apply(
                [
                    AdminsState(org, frozenset({"root", "cleo"})),
                    SetChange(org, "visible", "ann", "account", ["A-1", "é:{/}"], True),
                    put(org, "A-1", user_id="é:{/}"),
                    put(org, "A-1", kind="editable"),
                    put(f"{org}-2", "A-2"),
                    stands(org, "A-1", 7, "west", "é"),
                    RecordState(org, "deal", "é:{/}", 1, None, (), 4),
                ],
                [],
            )
            assert await place.entries(org) == Entries(
                visible={("ann", "account"): {"A-1", "é:{/}"}, ("é:{/}", "account"): {"A-1"}},
                editable={("ann", "account"): {"A-1"}},
                admins={"root", "cleo"},
                records={("account", "A-1"): (7, "ann", ("west", "é"), 4), ("deal", "é:{/}"): (1, None, (), 4)},
            )
            assert (await place.entries(f"{org}-2")).visible == {("ann", "account"): {"A-2"}}

        self.play(acts)

    def test_deleted_record_leaves_nothing(self) -> None:
        """Neither in a set nor as a record (V7)."""

        async def acts(place: Place, org: str) -> None:
            index = place.worker()
            await index.apply([put(org, "A-1"), stands(org, "A-1"), AdminsState(org, frozenset({"root"}))], [])
            await index.apply([put(org, "A-1", False), stands(org, "A-1", None), AdminsState(org, frozenset())], [])
            assert await place.entries(org) == Entries()

        self.play(acts)

    def test_many_at_once(self) -> None:
        """More than one command takes, all the same."""
        ids = {f"A-{number}" for number in range(MANY)}
        users = [f"u{number}" for number in range(500)]

        async def acts(place: Place, org: str) -> None:
            index = place.worker()
            whole = SetChange(org, "visible", "ann", "account", sorted(ids), True)
            await index.apply([whole, *(stands(org, each) for each in ids)], [])
            await index.apply([put(org, "A-1", True, kind, user) for kind in KINDS for user in users], [])
            found = await place.entries(org)
            assert found.visible.pop(("ann", "account")) == ids
            assert found.visible == found.editable == {(user, "account"): {"A-1"} for user in users}
            assert {record_id for _, record_id in found.records} == ids
            await index.apply([whole._replace(present=False)], [])
            assert ("ann", "account") not in (await place.entries(org)).visible

        self.play(acts)

    @settings(suppress_health_check=[HealthCheck.differing_executors], max_examples=20)
    @given(data=st.data())
    def test_of_several_changes_the_last_counts(self, data: st.DataObject) -> None:
        """However they are cut into calls; calls that are repeated change nothing (A9).

        In one call an entry of a set is changed once: the fold sees to that.
        """
        calls = data.draw(st.lists(st.lists(_changes(), max_size=6), max_size=4))

        async def acts(place: Place, org: str) -> None:
            index, expected = place.worker(), Entries()
            for call in calls:
                changes = _each_entry_once([make(org) for make in call])
                for _ in range(2):
                    await index.apply(list(changes), [])
                for change in changes:
                    _note(change, expected)
                assert await place.entries(org) == expected

        self.play(acts)

    # --- progress -----------------------------------------------------------------------------

    def test_revision_is_what_all_partitions_are_under(self) -> None:
        """Nothing before all have spoken, then the least of theirs, by number (V8)."""

        async def acts(place: Place, org: str) -> None:
            workers = [place.worker(2), place.worker(2)]
            found = []
            for partition, revision in ((0, 3), (1, 3), (0, 4), (1, 5), (0, 10), (1, 9)):
                await take(workers[partition], partition)
                await workers[partition].apply([], [progress(org, revision, partition)])
                found.append((await place.entries(org)).revision)
            assert found == [None, 3, 3, 4, 5, 9]

        self.play(acts)

    # --- reconcile ----------------------------------------------------------------------------

    def test_strays_are_removed(self) -> None:
        """What is there of unknown organisations and must not be; the rest stays (V7, V8)."""
        ids = ("A-1", "A:{2}", "gone", "gone:{/}")

        async def acts(place: Place, org: str) -> None:
            index, orgs = place.worker(), (org, f"{org}-2")
            await take(index, 0)
            for each in orgs:
                sets = [SetChange(each, kind, user, "account", ids, True) for kind in KINDS for user in ("ann", "bob")]
                await index.apply([*sets], [])
                await index.apply([stands(each, id_) for id_ in ids], [progress(each, 1)])
            beats: list[None] = []
            await index.reconcile(0, *fold_of(*orgs, owned=ids[:2]), frozenset(orgs), lambda: beats.append(None))
            for each in orgs:
                found = await place.entries(each)
                assert found.visible == found.editable == {("ann", "account"): {"A-1", "A:{2}"}}
                assert {record_id for _, record_id in found.records} == {"A-1", "A:{2}"}
            assert beats  # it may take longer than a worker may be silent

        self.play(acts)

    def test_known_organisation_is_left_alone(self) -> None:
        """Nothing is removed where the index holds what was said (V8)."""

        async def acts(place: Place, org: str) -> None:
            index = place.worker()
            await take(index, 0)
            await index.apply([put(org, "gone"), stands(org, "gone")], [progress(org, 1)])
            before = await place.entries(org)
            await index.reconcile(0, *fold_of(org), NOTHING, lambda: None)
            assert await place.entries(org) == before

        self.play(acts)

    def test_other_partitions_and_organisations_are_left_alone(self) -> None:
        """A partition takes out its own records' strays, of this organisation and none whose name begins alike (V8)."""
        ids = [f"A-{number}" for number in range(MANY)]

        async def acts(place: Place, org: str) -> None:
            index, alike = place.worker(2), f"{org}-2"
            await take(index, 1)
            await index.apply([put(each_org, each) for each_org in (org, alike) for each in ids], [])
            await index.apply([stands(alike, "A-1")], [])
            await index.reconcile(1, *fold_of(org, partition=1, partitions=2), frozenset({org}), lambda: None)
            others = {each for each in ids if partition_of(record_key(org, "account", each), 2) == 0}
            assert (await place.entries(org)).visible == {("ann", "account"): others}
            left = await place.entries(alike)
            assert left.visible == {("ann", "account"): set(ids)}
            assert list(left.records) == [("account", "A-1")]

        self.play(acts)

    # --- fences -------------------------------------------------------------------------------

    def test_the_worker_before_can_write_no_more(self) -> None:
        """From the moment that another term has begun nothing of the old one is done (A9)."""

        async def acts(place: Place, org: str) -> None:
            before, after = place.worker(2), place.worker(2)
            assert await before.fences.take(0, 1, 0) == (1, False)
            assert await before.fences.take(1, 1, 0) == (1, False)
            await before.apply([put(org, "a")], [progress(org, 1, 0), progress(org, 1, 1)])
            written = before.fences.written(0)
            assert written > 0
            assert await after.fences.take(0, 2, written) == (2, True)
            for partitions in ((0,), (1, 0)):
                with pytest.raises(Fenced):
                    await before.apply(
                        [put(org, "b"), stands(org, "b")], [progress(org, 2, each) for each in partitions]
                    )
            with pytest.raises(Fenced):
                await before.reconcile(0, *fold_of(org), frozenset({org}), lambda: None)
            await before.apply([put(org, "c")], [progress(org, 1, 1)])  # nobody has begun a term of that
            await after.apply([put(org, "d")], [progress(org, 1, 0)])
            assert (await place.entries(org)).visible == {("ann", "account"): {"a", "c", "d"}}
            assert after.fences.written(0) > written

        self.play(acts)

    def test_a_late_term_does_not_begin(self) -> None:
        """Whoever stood still between the group's word and the index's finds a later term there, and takes nothing."""

        async def acts(place: Place, org: str) -> None:
            late, present = place.worker(), place.worker()
            assert await present.fences.take(0, 7, 0) == (7, False)
            assert await late.fences.take(0, 6, 0) == (7, False)
            await present.apply([put(org, "a")], [progress(org, 1)])
            assert late.fences.written(0) == 0

        self.play(acts)

    def test_an_index_that_lost_something_is_seen(self) -> None:
        """At the next write, which is not done, and by whoever takes over; it may be filled again then."""

        async def acts(place: Place, org: str) -> None:
            worker = place.worker()
            await worker.fences.take(0, 1, 0)
            await worker.apply([put(org, "a")], [progress(org, 1)])
            written = worker.fences.written(0)
            await place.lose()
            with pytest.raises(SinkRolledBack):
                await worker.apply([put(org, "b")], [progress(org, 1)])
            assert await place.entries(org) == Entries()
            for term in (2, 3):  # the second is who takes over after the first ended at once: it must see it, too
                successor = place.worker()
                assert await successor.fences.take(0, term, written) == (term, False)
            # Once it is noted that nothing is known, so that nothing is wanted of it:
            assert await successor.fences.take(0, 4, 0) == (4, True)
            await successor.apply([put(org, "a")], [progress(org, 1)])
            assert await place.worker().fences.take(0, 5, successor.fences.written(0)) == (5, True)
            assert await place.entries(org) == Entries(visible={("ann", "account"): {"a"}}, revision=1)

        self.play(acts)

    def test_an_empty_turn_sees_a_loss(self) -> None:
        """With nothing to write it is looked whether all is there still: an idle worker notices, too."""

        async def acts(place: Place, org: str) -> None:
            worker = place.worker()
            await worker.fences.take(0, 1, 0)
            await worker.apply([put(org, "a")], [progress(org, 1)])
            before = worker.fences.written(0)
            await worker.apply([], [Progress(STAGE, 0, 11, {})])
            assert worker.fences.written(0) == before + 1
            await place.lose()
            with pytest.raises(SinkRolledBack):
                await worker.apply([], [Progress(STAGE, 0, 12, {})])

        self.play(acts)


Making = Callable[[str], IndexChange]
"""A change, given its organisation."""


def _changes() -> st.SearchStrategy[Making]:
    """Draw changes of few entries, so that they meet."""
    ids, users = st.sampled_from(["A-1", "A-2"]), st.sampled_from(["ann", "bob", "cid"])
    sets = st.builds(
        lambda id_, present, kind, who: lambda org: put(org, id_, present, kind, who),
        ids, st.booleans(), st.sampled_from(KINDS), users,
    )  # fmt: skip
    records = st.builds(
        lambda id_, version: lambda org: stands(org, id_, version, "west"), ids, st.none() | st.integers(1, 9)
    )
    admins = st.builds(lambda who: lambda org: AdminsState(org, frozenset(who)), st.sets(users))
    return st.one_of(sets, sets, records, admins)


def _each_entry_once(changes: list[IndexChange]) -> list[IndexChange]:
    """Return changes without those of an entry of a set that comes again."""
    last = {(*change[:4], *change.record_ids): change for change in changes if isinstance(change, SetChange)}
    return [*last.values(), *(change for change in changes if not isinstance(change, SetChange))]


def _note(change: IndexChange, entries: Entries) -> None:
    """Make a change of what is expected."""
    if isinstance(change, AdminsState):
        entries.admins = set(change.users)
    elif isinstance(change, RecordState):
        entries.records.pop((change.object, change.record_id), None)
        if change.version is not None:
            stand = (change.version, change.owner_id, change.territories, change.model_revision)
            entries.records[change.object, change.record_id] = stand
    elif isinstance(change, SetChange):
        sets = entries.visible if change.kind == "visible" else entries.editable
        ids = sets.setdefault((change.user_id, change.object), set())
        (ids.update if change.present else ids.difference_update)(change.record_ids)
        if not ids:
            del sets[change.user_id, change.object]
