"""How far the upstream stage is: some sweeps wait for it (`territory.stage.AWAIT_UPSTREAM`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import NOTHING_ACTIVATED
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import GroupOffsets


async def applied_position(offsets: GroupOffsets, group: str, partitions: int) -> int:
    """Return the offset on the model topic up to which a stage has applied models in all of its partitions.

    Raises: KafkaError.
    """
    found = await offsets.committed(group)
    metadata = {where.partition: CommitMetadata.read(committed.metadata) for where, committed in found.items()}
    if len(metadata) < partitions:
        return NOTHING_ACTIVATED
    return min((each.applied.position for each in metadata.values()), default=NOTHING_ACTIVATED)


async def release_sweeps(
    tasks: Mapping[int, PartitionTask],
    topic: str,
    applied: Callable[[], Awaitable[int]],
    end_of: Callable[[int], Awaitable[int]],
) -> None:
    """Let sweeps go on that wait for upstream output, where all of that is processed.

    Args:
        tasks: The active partitions of this worker.
        topic: Where the upstream stage publishes its output.
        applied: Returns `applied_position`.
        end_of: Returns the end of that topic in a partition. It is asked after the position is known: all output
            up to that position is before the end.
    """
    waiting = {number: task for number, task in tasks.items() if task.awaited_position is not None}
    if waiting:
        position = await applied()
        for number, task in waiting.items():
            if task.awaited_position is not None and task.awaited_position <= position:
                task.upstream_applied(position, await end_of(number))
    for task in tasks.values():
        task.release_sweeps(task.queue.next_offset(topic))
