"""Who gets which partitions: the same numbers of every topic, balanced, and as few moved as possible."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from territory_runtime.kafka.assignor import CopartitionedAssignor, MemberReport, distribute, read_report

TOPICS = ("crm.records.v1", "releases")


class Cluster:
    """The metadata that a group's leader has: how many partitions each topic has."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self._partitions = partitions

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self._partitions[topic])) if topic in self._partitions else None


class ReportOfBefore(msgspec.Struct, frozen=True):
    """What the first sticky version sends and reads: nothing of what a member gained."""

    epoch: int = 0
    partitions: list[int] = []
    address: str | None = None


class OldMember(RangePartitionAssignor):  # type: ignore[misc]  # aiokafka is untyped
    """A member of the version before, which knows plain ranges alone."""


Assignor = CopartitionedAssignor | OldMember


class Group:
    """A consumer group without a broker: its members' assignors, and the bytes that they exchange."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self.members: dict[str, Assignor] = {}
        self.assigned: dict[str, dict[str, list[int]]] = {}
        self.leader = ""
        self._cluster = Cluster(partitions)

    def join(self, *names: str, old: bool = False, address: bool = False) -> None:
        for name in names:
            self.members[name] = OldMember() if old else CopartitionedAssignor()
            if address:
                self.members[name].address = lambda name=name: f"{name}:9464"

    def rebalance(self, topics: Mapping[str, Iterable[str]] | None = None) -> None:
        """Let the members join, the leader assign, and everybody hear of it."""
        joined = {
            name: ConsumerProtocolMemberMetadata.decode(member.metadata((topics or {}).get(name, TOPICS)).encode())
            for name, member in self.members.items()
        }
        leader = self.members[self.leader or min(self.members)]
        self.assigned = {}
        for name, assignment in leader.assign(self._cluster, joined).items():
            heard = ConsumerProtocolMemberAssignment.decode(assignment.encode())
            self.members[name].on_assignment(heard)
            self.assigned[name] = {topic: sorted(numbers) for topic, numbers in heard.assignment}

    def restart(self, name: str, new_name: str) -> Counter[int]:
        """Let a member leave, and then another join, as a rolling restart does; return each partition's moves.

        In between the group rebalances once more, as it does when a member has missed an answer.
        """
        moves: Counter[int] = Counter()
        before = self.owners()
        del self.members[name]
        for joining in ((), (), (new_name,)):
            self.join(*joining)
            self.rebalance()
            after = self.owners()
            moves.update(number for number, owner in after.items() if before[number] != owner)
            before = after
        return moves

    def owners(self) -> dict[int, str]:
        """Return each partition number's owner."""
        return {number: name for name, numbers in self.numbers().items() for number in numbers}

    def numbers(self) -> dict[str, list[int]]:
        """Return the partition numbers of each member, which are the same of every topic."""
        found = {}
        for name, by_topic in self.assigned.items():
            assert all(numbers == by_topic[TOPICS[0]] for numbers in by_topic.values())
            found[name] = by_topic.get(TOPICS[0], [])
        return found


def moved(before: Mapping[str, list[int]], after: Mapping[str, list[int]]) -> int:
    """Return how many partitions were taken from a member that is still there."""
    return sum(len(set(numbers) - set(after[name])) for name, numbers in before.items() if name in after)


def group_of(count: int, partitions: int = 8) -> Group:
    group = Group(dict.fromkeys(TOPICS, partitions))
    group.join(*(f"m{number}" for number in range(count)))
    group.rebalance()
    return group


def test_a_new_group_is_assigned_as_ranges_are() -> None:
    """With nothing to keep, it is what the version before assigned."""
    group, old = group_of(3), Group(dict.fromkeys(TOPICS, 8))
    old.join("m0", "m1", "m2", old=True)
    old.rebalance()
    assert group.assigned == old.assigned


@given(
    st.integers(1, 24),
    st.lists(st.sampled_from(["join", "leave", "two leave", "restart", "away", "back"]), max_size=12),
    st.randoms(),
)
def test_whoever_comes_and_goes(partitions: int, steps: list[str], dice: random.Random) -> None:
    """All partitions are owned once, the same of both topics, balanced within one, and no more move than must."""
    group = group_of(2, partitions)
    away: dict[str, Assignor] = {}
    for step, what in enumerate(steps):
        before = group.numbers()
        name = dice.choice(sorted(group.members))
        if what == "join":
            group.join(f"n{step}")
        elif what == "restart":  # as a dynamic member: under a new name, without memory
            del group.members[name]
            group.join(f"r{step}")
        elif what == "back" and away:  # with the claims of an earlier assignment
            group.members.update(away)
            away.clear()
        elif what == "two leave" and len(group.members) > 2:
            for gone_name in dice.sample(sorted(group.members), 2):
                del group.members[gone_name]
        elif len(group.members) > 1:
            gone = group.members.pop(name)
            if what == "away":
                away[name] = gone
        group.rebalance()
        after = group.numbers()
        assert sorted(number for numbers in after.values() for number in numbers) == list(range(partitions))
        sizes = [len(numbers) for numbers in after.values()]
        assert max(sizes) - min(sizes) <= 1
        stayed = [name for name in before if name in after]
        quota = -(-partitions // len(after))
        must_move = sum(max(0, len(before[name]) - quota) for name in stayed)
        joined = len(after) - len(stayed)
        if not joined:
            assert moved(before, after) == must_move
        assert moved(before, after) <= sum(len(after[name]) for name in after if name not in stayed) + must_move


@given(st.integers(2, 8), st.integers(4, 64), st.integers(1, 3), st.randoms())
def test_a_rolling_restart_moves_a_partition_twice(
    workers: int, partitions: int, restarts: int, dice: random.Random
) -> None:
    """Away when its owner leaves, and back when that comes back, under another name: twice, and never more.

    Less cannot be: with each of W workers a share leaves and a share comes back, twice all partitions (ADR 0012).
    """
    names = iter(dice.sample(range(1000), 100))  # who is first by name has nothing to do with who is first
    group = Group(dict.fromkeys(TOPICS, partitions))
    for _ in range(workers):  # one by one: nobody has a range
        group.join(f"m{next(names)}")
        group.rebalance()
    for _ in range(restarts):
        moves: Counter[int] = Counter()
        sizes = Counter(map(len, group.numbers().values()))
        for name in dice.sample(sorted(group.members), workers):
            moves += group.restart(name, f"m{next(names)}")
            assert Counter(map(len, group.numbers().values())) == sizes
        assert max(moves.values()) <= 2


@pytest.mark.parametrize(("workers", "partitions"), [(2, 4), (4, 32), (5, 8), (8, 64), (8, 4)])
def test_a_restart_moves_the_partitions_of_the_restarted_alone(workers: int, partitions: int) -> None:
    """The newcomer gets what its predecessor had, number by number, and everyone else keeps what it had."""
    group = group_of(workers, partitions)
    before = group.numbers()
    group.restart("m1", "n")
    before["n"] = before.pop("m1")
    assert group.numbers() == before


@pytest.mark.parametrize(("workers", "partitions"), [(3, 4), (4, 32), (5, 8)])
def test_a_restart_within_one_rebalance(workers: int, partitions: int) -> None:
    """A worker that is back before the group has noticed that it was away: its partitions move once, and no other."""
    group = group_of(workers, partitions)
    before = group.numbers()
    del group.members["m0"]
    group.join("n")
    group.rebalance()
    before["n"] = before.pop("m0")
    assert group.numbers() == before


def test_a_newcomer_after_two_have_left() -> None:
    """It takes its share of what they left. A member that had one partition still has that one, and no other."""
    reports = {f"m{n}": MemberReport(5, [2 * n - 1, 2 * n], gained={2 * n: 5}) for n in range(1, 5)}
    assigned = distribute(range(9), {"m0": MemberReport(5, [0]), "n": MemberReport(), **reports})
    assert assigned["m0"] == [0]
    assert len(assigned["n"]) == 2
    assert set(assigned["n"]) < {2, 4, 6, 8}


def test_what_a_member_gained_is_new_to_members_of_the_version_before() -> None:
    """They ignore it, and what they report is read: it names no gains."""
    report = MemberReport(3, [0, 1], "a:1", gained={1: 3})
    assert msgspec.json.decode(msgspec.json.encode(report), type=ReportOfBefore) == ReportOfBefore(3, [0, 1], "a:1")
    assert read_report(msgspec.json.encode(ReportOfBefore(3, [0, 1], "a:1"))) == MemberReport(3, [0, 1], "a:1")
    assert read_report(msgspec.json.encode(report)) == report


@given(st.integers(2, 8), st.integers(4, 64), st.randoms())
def test_a_newcomer_before_the_one_that_leaves(workers: int, partitions: int, dice: random.Random) -> None:
    """A rolling update with a surge: the new worker joins before the old one leaves. At most three moves."""
    names = iter(dice.sample(range(1000), 100))
    group = Group(dict.fromkeys(TOPICS, partitions))
    group.join(*(f"m{next(names)}" for _ in range(workers)))
    group.rebalance()
    moves: Counter[int] = Counter()
    for name in dice.sample(sorted(group.members), workers):
        for step in ("join", "leave"):
            before = group.owners()
            if step == "join":
                group.join(f"m{next(names)}")
            else:
                del group.members[name]
            group.rebalance()
            moves.update(number for number, owner in group.owners().items() if before[number] != owner)
    assert max(moves.values()) <= 3


def test_one_that_leaves_moves_nobody_elses_partitions() -> None:
    """Its own go to the others, who keep theirs: they restore two or three, not all (B2)."""
    group = group_of(4)
    before = group.numbers()
    del group.members["m1"]
    group.rebalance()
    assert moved(before, group.numbers()) == 0


def test_one_that_joins_takes_its_share_alone() -> None:
    """Eight partitions of two workers: the third gets two, and six stay where they are."""
    group = group_of(2)
    before = group.numbers()
    group.join("a")
    group.rebalance()
    assert len(group.numbers()["a"]) == 2
    assert moved(before, group.numbers()) == 2


def test_an_owner_of_long_ago_takes_nothing_back() -> None:
    """It was away for longer than its session: its partitions have other owners since, who keep them."""
    group = group_of(2)
    zombie = group.members.pop("m0")
    group.rebalance()
    group.join("n")
    group.rebalance()
    before = group.numbers()
    group.members["m0"] = zombie
    group.rebalance()
    assert all(set(group.numbers()[name]) <= set(before[name]) for name in before)


@pytest.mark.parametrize("leader", ["new", "old"])
def test_a_rolling_upgrade_mixes_versions(leader: str) -> None:
    """Both speak the protocol `range`, whoever leads: every partition has one owner, of both topics (ADR 0012)."""
    group = Group(dict.fromkeys(TOPICS, 8))
    group.join("old", old=True)
    group.join("new")
    group.leader = leader
    for _ in range(3):
        group.rebalance()
        numbers = group.numbers()
        assert sorted(numbers["old"] + numbers["new"]) == list(range(8))
        assert len(numbers["old"]) == 4
    assert {type(member).name for member in group.members.values()} == {"range"}


def test_members_with_different_inputs_get_plain_ranges() -> None:
    """Two versions of a stage read different topics: nobody is given one that it does not read."""
    group = Group({"a": 4, "b": 4})
    group.join("m0", "m1")
    group.rebalance({"m0": ["a", "b"], "m1": ["a"]})
    assert group.assigned == {"m0": {"a": [0, 1], "b": [0, 1, 2, 3]}, "m1": {"a": [2, 3]}}


def test_topics_with_different_partitions() -> None:
    """A number that a topic lacks is assigned for the others alone; a missing topic has none."""
    group = Group({TOPICS[0]: 3, TOPICS[1]: 2})
    group.join("m0")
    group.rebalance({"m0": [*TOPICS, "missing"]})
    assert group.assigned == {"m0": {TOPICS[0]: [0, 1, 2], TOPICS[1]: [0, 1], "missing": []}}


def test_every_member_knows_the_addresses_of_all() -> None:
    """For point queries: each can name the workers that may have a record; one without an address is left out."""
    group = Group(dict.fromkeys(TOPICS, 4))
    group.join("m0", "m1", address=True)
    group.join("silent")
    group.rebalance()
    numbers = group.numbers()
    for member in group.members.values():
        assert isinstance(member, CopartitionedAssignor)
        assert member.owners == {"m0:9464": numbers["m0"], "m1:9464": numbers["m1"]}


def test_two_members_at_one_address() -> None:
    """Two workers behind one address are named once, with the partitions of both."""
    group = Group(dict.fromkeys(TOPICS, 4))
    for name in ("m0", "m1"):
        group.join(name)
        group.members[name].address = lambda: "load-balancer:80"
    group.rebalance()
    [member, _] = group.members.values()
    assert {address: sorted(owned) for address, owned in member.owners.items()} == {"load-balancer:80": [0, 1, 2, 3]}


@pytest.mark.parametrize("user_data", [b"", b"\x00\x01sticky", b"[]", b'{"epoch": "x"}'])
def test_what_another_version_reports_is_taken_as_nothing(user_data: bytes) -> None:
    """A member that says nothing that we read owned nothing, and gets its share."""
    assert read_report(user_data) == MemberReport()


def test_the_later_epoch_wins() -> None:
    """Two members that claim the same partitions: one of them has not heard of the last assignment."""
    early, late = MemberReport(3, [0, 1]), MemberReport(4, [0])
    assert distribute(range(2), {"a": early, "b": late}) == {"a": [1], "b": [0]}
    assert distribute(range(2), {"a": late, "b": early}) == {"a": [0], "b": [1]}
