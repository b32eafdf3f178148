"""Who gets which partitions: the same numbers of every topic, balanced, and as few moved as possible."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

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
    st.lists(st.sampled_from(["join", "leave", "restart", "away", "back"]), max_size=12),
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
