"""How far the stage is that another one follows: some sweeps wait for it (`territory.fold.UNTIL_DECIDED`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiokafka.admin import AIOKafkaAdminClient

from territory_runtime.loop.model_snapshot import NOTHING_ACTIVATED, CommitMetadata
from territory_runtime.loop.partition_task import PartitionTask


async def decided_position(admin: AIOKafkaAdminClient, group: str, partitions: int) -> int:
    """Return the position on the model topic that a stage is swept for, in all of its partitions.

    Raises: KafkaError.
    """
    found = await admin.list_consumer_group_offsets(group)
    notes = {where.partition: CommitMetadata.read(at.metadata) for where, at in found.items()}
    if len(notes) < partitions:
        return NOTHING_ACTIVATED
    return min((note.swept.position for note in notes.values()), default=NOTHING_ACTIVATED)


async def follow_decisions(
    held: Mapping[int, PartitionTask],
    topic: str,
    decided: Callable[[], Awaitable[int]],
    end_of: Callable[[int], Awaitable[Mapping[str, int]]],
) -> None:
    """Let sweeps go on that waited until all was decided, once what was said by then is taken.

    Args:
        held: The partitions that this worker has.
        topic: Where the stage before says what it decides.
        decided: Returns `decided_position`.
        end_of: Returns by topic how much there is in a partition. It is asked after the position is
            known: whatever was said by then is before that.
    """
    waiting = {number: part for number, part in held.items() if part.waits_for is not None}
    if waiting:
        position = await decided()
        for number, part in waiting.items():
            if part.waits_for is not None and part.waits_for <= position:
                part.decided(position, (await end_of(number))[topic])
    for part in held.values():
        part.go_on_from(part.next_offsets[topic])
