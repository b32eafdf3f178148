"""Assigns partitions to the members of a stage's group: equal numbers together, and sticky.

A stage that reads several topics needs the same partition number of each. A partition that moves
is restored from the log, so it stays where it is unless the balance needs it to move. A worker that
comes back under another name, as in a rolling restart, gets what its predecessor had. aiokafka has
no assignor for these: its sticky one spreads each topic by itself, and keeps its memory in a class
attribute, which the stages of one process would share.

Members report in their join request what they own and the address of their HTTP server. The
leader adds the address of every partition's owner to its answer, so that each worker can name the
others to a client. The protocol keeps the name `range`, whose assignments it extends: see docs/adr/0012.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class MemberReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a member sends with its join request.

    Attributes:
        epoch: Of the last assignment that it received; 0 before the first.
        partitions: The partition numbers that it owned in that epoch.
        address: `host:port` of its HTTP server; none: it cannot be reached by others.
        gained: Of these, the ones that came after it had joined, since their owner left: by number, in which epoch.
    """

    epoch: int = 0
    partitions: list[int] = []
    address: str | None = None
    gained: dict[int, int] = {}


class OwnerTable(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the leader sends to every member with its assignment.

    Attributes:
        epoch: One more than any epoch that a member reported.
        partitions: By address of an owner, its partition numbers.
    """

    epoch: int = 0
    partitions: dict[str, list[int]] = {}


class _Claim(NamedTuple):
    epoch: int
    member: str


_encode = msgspec.json.encode
_read_report = msgspec.json.Decoder(MemberReport).decode
_read_owners = msgspec.json.Decoder(OwnerTable).decode


def distribute(partitions: Iterable[int], reports: Mapping[str, MemberReport]) -> dict[str, list[int]]:
    """Return each member's partition numbers: balanced within one, and few moved.

    Where two members claim a partition, the later epoch counts: the other one was away meanwhile. A member with too
    many gives up first what it gained last: a newcomer gets what the last one that left had, and nothing moves twice
    for the restart of another.

    Args:
        partitions: All partition numbers.
        reports: By member id, what it reported.
    """
    numbers = sorted(partitions)
    owner: dict[int, _Claim] = {}
    for member in sorted(reports):
        for number in reports[member].partitions:
            claim = _Claim(reports[member].epoch, member)
            if number not in owner or claim.epoch > owner[number].epoch:
                owner[number] = claim
    kept: dict[str, dict[int, int]] = {member: {} for member in sorted(reports)}
    for number in numbers:
        if number in owner:
            member = owner[number].member
            kept[member][number] = reports[member].gained.get(number, 0)
    epoch = max(report.epoch for report in reports.values())
    newcomers = [member for member, owned in kept.items() if not owned and reports[member].epoch < epoch]
    quota = _quotas(len(numbers), kept, newcomers)
    assigned = {
        member: sorted(owned, key=owned.__getitem__)[: quota[member]]  # gained last goes first
        for member, owned in kept.items()
    }
    taken = {number for owned in assigned.values() for number in owned}
    free = iter([number for number in numbers if number not in taken])
    for member, owned in assigned.items():
        owned += [next(free) for _ in range(quota[member] - len(owned))]
        owned.sort()
    return assigned


def _quotas(count: int, kept: Mapping[str, Mapping[int, int]], newcomers: Sequence[str]) -> dict[str, int]:
    """Return how many of `count` partitions each member gets: an equal share, and one more for some.

    One more is for those that had one more before the last owner left. A newcomer counts as that owner: otherwise its
    restart would leave a partition behind with another member, and each further restart could move that one again.

    Args:
        count: Of all partitions.
        kept: By member, each partition that it owns and the epoch in which it gained it; 0: from the start.
        newcomers: Those that had no part in the last assignment.
    """
    share, larger = divmod(count, len(kept))
    size = {member: len(owned) for member, owned in kept.items()}
    if newcomers:
        left = count - sum(size.values())  # the owner left in this very rebalance
        if not left:
            last = max((epoch for owned in kept.values() for epoch in owned.values()), default=0) or -1  # -1: none was
            gained = {member: list(owned.values()).count(last) for member, owned in kept.items()}
            size = {member: size[member] - gained[member] for member in kept}
            left = sum(gained.values())
        for member in newcomers:
            size[member] = min(left, share + 1)
            left -= size[member]
    first = sorted(kept, key=lambda member: (size[member] <= share, len(kept[member]) <= share))  # then by member id
    return {member: share + (place < larger) for place, member in enumerate(first)}


class CopartitionedAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka is untyped
    """The assignor of one consumer; remembers what its member owns, and who owns the rest."""

    name = "range"
    """On the wire. A member of an earlier version knows this protocol alone; as a leader it assigns plain ranges."""
    version = 0

    def __init__(self) -> None:
        self.address: Callable[[], str | None] = lambda: None
        """Returns `host:port` of this worker's HTTP server; asked at each join, since the port may be chosen late."""
        self.owners: Mapping[str, list[int]] = {}
        """By address of a worker, the partition numbers that it owns, as of the last assignment."""
        self._report = MemberReport()

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what this member sends with its join request."""
        report = msgspec.structs.replace(self._report, address=self.address())
        return ConsumerProtocolMemberMetadata(self.version, list(topics), _encode(report))

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return every member's assignment; called at the group's leader alone."""
        subscriptions = {tuple(sorted(member.subscription)) for member in members.values()}
        if len(subscriptions) != 1:  # versions with different inputs: no number suits all members
            plain: dict[str, ConsumerProtocolMemberAssignment] = RangePartitionAssignor.assign(cluster, members)
            return plain
        [topics] = subscriptions
        partitions_of = {topic: cluster.partitions_for_topic(topic) or set() for topic in topics}
        reports = {member: read_report(metadata.user_data) for member, metadata in members.items()}
        assigned = distribute(set().union(*partitions_of.values()), reports)
        owners = OwnerTable(1 + max(report.epoch for report in reports.values()), {})
        for member, report in reports.items():
            if report.address is not None:
                owners.partitions.setdefault(report.address, []).extend(assigned[member])
        return {
            member: ConsumerProtocolMemberAssignment(
                self.version,
                [(topic, [number for number in numbers if number in partitions_of[topic]]) for topic in topics],
                _encode(owners),
            )
            for member, numbers in assigned.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Remember what this member owns from now on, and who owns the rest."""
        owners = _owners_of(assignment.user_data)
        epoch = self._report.epoch if owners is None else owners.epoch
        numbers = sorted({number for _, numbers in assignment.assignment for number in numbers})
        before = self._report
        gained: dict[int, int] = {}
        if before.epoch:  # else it has just joined
            gained = {number: epoch for number in numbers if number not in before.partitions}
            gained |= {number: before.gained[number] for number in numbers if number in before.gained}
        self._report = MemberReport(epoch, numbers, gained=gained)
        self.owners = {} if owners is None else owners.partitions


def read_report(user_data: bytes) -> MemberReport:
    """Return a member's report; an empty one for a member of another version."""
    try:
        return _read_report(user_data or b"{}")
    except msgspec.DecodeError:
        return MemberReport()


def _owners_of(user_data: bytes) -> OwnerTable | None:
    """Return the leader's table; None where the leader is of another version."""
    try:
        return _read_owners(user_data) if user_data else None
    except msgspec.DecodeError:
        return None
