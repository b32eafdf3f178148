"""Fencing of Redis: only the present owner of a partition can write it.

The consumer group assigns a partition to one worker at a time. A worker that was suspended for longer than its
session does not know that its partitions were reassigned, and continues in the middle of a batch. Kafka refuses its
commit; Redis refuses what it writes before that.

Every assignment of a partition begins a new *epoch*: a number in the commit metadata and in Redis. It begins with a
commit, which only a present member of the group can make. Every script of writes names the epochs of its partitions,
and is refused as a whole if Redis has a later one.

Beside the epoch, Redis keeps the *write sequence*: how many scripts of writes the partition has had, in all epochs.
The commit metadata has it, too. So a Redis that was emptied, or restored from an older copy, is detected at the next
write and at the next assignment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import redis.exceptions

from territory.wire.keys import fence_key
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import SnapshotId
from territory_runtime.redis.nodes import Client, Nodes, ScriptCall

TAKE = """
local names, latest, sequences = {KEYS[1], unpack(ARGV, 3)}, tonumber(ARGV[1]), {}
for i, name in ipairs(names) do
  local epoch, sequence = string.match(redis.call('GET', name) or '', '^(%d+)%.(%d+)$')
  latest, sequences[i] = math.max(latest, tonumber(epoch or 0)), tonumber(sequence)
end
if latest > tonumber(ARGV[1]) then return {latest, 0, 0} end
for i, name in ipairs(names) do redis.call('SET', name, string.format('%s.%.0f', ARGV[1], sequences[i] or 0)) end
return {latest, sequences[1] or 0, sequences[1] and sequences[1] >= tonumber(ARGV[2]) and 1 or 0}
"""
"""Arguments: the epoch, the least write sequence that Redis must have, and the names of more fences of this node.

Workers of several releases share the fences: a value stays `<epoch>.<write sequence>`.
"""


class Fenced(Exception):
    """Raised when another worker has begun a later epoch of a partition: nothing was written."""


class SinkRolledBack(Exception):
    """Raised when Redis lacks earlier writes: it was emptied, or is an older copy. Nothing was written."""


class SinkPaused(redis.exceptions.RedisError):
    """Raised while a rebuilt index is swapped in and all writers are paused. Nothing was written; try again."""


@dataclass(slots=True)
class _Fence:
    epoch: int
    confirmed: int
    """The write sequence after the last script that Redis has answered."""
    attempted: int
    """The write sequence after the last script that was sent."""


class Fences:
    """The epochs of a stage's partitions that this worker has begun.

    On a cluster a partition has a fence on every master, all with the same write sequence: each node gets every
    script, also one without commands for it. The slots of a node decide the key of its fence, out of a fixed number
    of keys, and slots can move. So an epoch is begun under all of these keys: a worker with an outdated slot map
    finds the later epoch, too.
    """

    def __init__(self, client: Client, stage: str) -> None:
        self.nodes = Nodes(client)
        self.stage = stage
        self._by_partition: dict[int, _Fence] = {}

    async def take(self, partition: int, epoch: int, write_sequence: int) -> tuple[int, bool]:
        """Begin an epoch, so that an earlier owner of the partition can no longer write it.

        Args:
            partition: The partition; the group has confirmed that it is assigned to this worker.
            epoch: A number above the one in the last commit metadata.
            write_sequence: The write sequence in the last commit metadata.

        Returns:
            The epoch in Redis: a later one than ours if Redis knows one that was never committed; then ours has not
            begun. And whether Redis has all writes up to the write sequence. If it has not, it keeps answering so
            until the commit metadata asks for less.
        """
        calls = []
        for node in await self.nodes.all():
            key, *others = [fence_key(self.stage, partition, tag) for tag in node.tags]
            calls.append(ScriptCall(node, TAKE, [key], [epoch, write_sequence, *others]))
        answers = await self.nodes.run(calls)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        latest = max(found for found, _, _ in answers)
        if latest == epoch:
            sequences = [sequence for _, sequence, _ in answers]
            self._by_partition[partition] = _Fence(epoch, min(sequences), max(sequences))
        return latest, all(has_all for _, _, has_all in answers)

    def write_sequence(self, partition: int) -> int:
        """Return how many scripts of writes the partition has had, in all epochs; 0 without an epoch of ours."""
        fence = self._by_partition.get(partition)
        return 0 if fence is None else fence.confirmed

    def keys(self, partitions: Iterable[int], tag: int | None = None) -> list[str]:
        """Return the keys of the fences of partitions; on a cluster, those with the tag of one node."""
        return [fence_key(self.stage, partition, tag) for partition in partitions]

    def begin_write(self, partitions: Iterable[int]) -> list[int]:
        """Return the fence arguments of a script: by partition the epoch, the least write sequence and the next."""
        arguments = []
        for partition in partitions:
            fence = self._by_partition[partition]
            fence.attempted += 1
            arguments += [fence.epoch, fence.confirmed, fence.attempted]
        return arguments

    def confirm_write(self, partitions: Iterable[int]) -> None:
        """Record that Redis has executed the last script of partitions."""
        for partition in partitions:
            fence = self._by_partition[partition]
            fence.confirmed = fence.attempted


async def begin_epoch(
    fences: Fences | None,
    partition: int,
    metadata: CommitMetadata,
    commit: Callable[[CommitMetadata], Awaitable[None]],
) -> CommitMetadata:
    """Begin a new epoch of a partition; return the commit metadata with it.

    Args:
        fences: The fences of the stage's sink; None: the stage has none.
        partition: The partition.
        metadata: The metadata beside the committed offsets.
        commit: Commits other metadata with the same offsets. It comes first: only a present member of the group can.

    Raises: SinkRolledBack if Redis lacks earlier writes. By then the committed metadata marks everything as unknown:
    the restore that follows may be cut at any point, and what it writes hides the loss.
    """
    ours = metadata._replace(epoch=metadata.epoch + 1)
    while True:
        await commit(ours)
        if fences is None:
            return ours
        found, has_all = await fences.take(partition, ours.epoch, metadata.write_sequence)
        if found > ours.epoch:  # the group lost its offsets, and Redis still has its epochs
            ours = ours._replace(epoch=found + 1)
        elif not has_all and metadata.applied != SnapshotId():
            await commit(CommitMetadata(epoch=ours.epoch))
            raise SinkRolledBack(
                f"partition {partition}: Redis lacks writes up to sequence {metadata.write_sequence}. It was emptied, "
                "or is an older copy; the partition is restored and written again"
            )
        else:
            return ours._replace(write_sequence=fences.write_sequence(partition))
