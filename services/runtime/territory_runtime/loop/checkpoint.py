"""The end of a batch: its output is published, then its offsets are committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from territory.stage import collapse
from territory_runtime.loop.batch import Batch
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import Committed, LogWriter, TopicPartition
from territory_runtime.loop.stage import Progress, Stage
from territory_runtime.retry import KAFKA_AWAY, REDIS_AWAY

Commit = Callable[[Mapping[TopicPartition, Committed]], Awaitable[None]]
"""Commits offsets for the worker's group. Raises: as `GroupOffsets.commit`."""


class Retry(Protocol):
    """Repeats an action for as long as what it needs is away."""

    async def __call__(
        self,
        action: Callable[[], Awaitable[Any]],
        away: tuple[type[BaseException], ...] = ...,
        what: str = ...,
        seconds: float | None = ...,
    ) -> Any:
        """Return the action's result.

        Args:
            action: Harmless to repeat.
            away: The exceptions that mean that something is unavailable; others are raised.
            what: Its name.
            seconds: An attempt that takes longer is reported like a failed one; None: it may take long.
        """


class Checkpoint:
    """Publishes a batch and commits it. A crash before the last step repeats the batch, which is harmless."""

    def __init__(self, stage: Stage, writer: LogWriter, commit: Commit, retry: Retry) -> None:
        """Take the ports of one worker."""
        self._stage = stage
        self._writer = writer
        self._commit_offsets = commit
        self._retry = retry

    async def run(self, batch: Batch) -> None:
        """Publish and commit a batch.

        Raises: one of `retry.LOST_PARTITION`, or GivenUp. Nothing was committed then.
        """
        # 2. Write the sink, while steps 1 and 3 go on: its readers need not wait for a broker.
        writing = self._begin_to_write_sink(batch)
        published = False
        try:
            encoded: dict[int, bytes] = {}  # a record is forwarded and kept: it is encoded once
            # 1. Flush outputs and dead letters, and await all acknowledgements.
            await self._send(batch.effects.messages, encoded)
            if batch.dead_letters:
                await self._retry(partial(self._writer.send_dead_letters, batch.dead_letters))
            # 3. Write the changelog: what a restore finds there was forwarded before.
            await self._send(batch.effects.state, encoded)
            published = True
        finally:
            if writing is not None:
                if not published:
                    writing.cancel()  # as in a crash: a worker that lost the partition must not wait for Redis
                await asyncio.wait([writing])
        if writing is not None:
            await writing
        # 4. Commit offsets, with the metadata as it is after this batch.
        await self.commit({number: task.metadata for number, task in batch.tasks.items()}, batch.tasks)

    async def commit(self, metadata: Mapping[int, Any], tasks: Mapping[int, PartitionTask]) -> None:
        """Commit the offsets before which these tasks are done, with the metadata given. Raises: as `run`."""
        offsets = {number: tasks[number].offsets_to_commit() for number in metadata}
        await self._commit({number: (offsets[number], metadata[number]) for number in metadata})
        for number, text in metadata.items():
            tasks[number].committed_offsets = offsets[number]
            tasks[number].committed = text

    async def confirm(self, tasks: Mapping[int, PartitionTask]) -> None:
        """Commit again what is committed, so that the group confirms that the partitions are ours. Raises: as `run`.

        Nothing of the batch under way is part of it.
        """
        await self._commit({number: (task.committed_offsets, task.committed or "") for number, task in tasks.items()})

    async def _commit(self, states: Mapping[int, tuple[Mapping[str, int], Any]]) -> None:
        commit = {
            TopicPartition(topic, number): Committed(offset, str(metadata))
            for number, (offsets, metadata) in states.items()
            for topic, offset in offsets.items()
        }
        if commit:
            await self._retry(partial(self._commit_offsets, commit))

    def _begin_to_write_sink(self, batch: Batch) -> asyncio.Future[None] | None:
        if self._stage.store is None:
            return None
        return asyncio.ensure_future(self._write_sink(batch))

    async def _write_sink(self, batch: Batch) -> None:
        store = self._stage.store
        if store is None:
            return
        first = self._stage.topics[0]
        progress = [
            Progress(self._stage.name, number, task.offsets_to_commit()[first], task.revisions)
            for number, task in sorted(batch.tasks.items())
        ]
        await self._retry(partial(store.apply, batch.effects.changes, progress), REDIS_AWAY, "Redis")
        for number, task in batch.tasks.items():
            task.write_sequence = store.fences.write_sequence(number)

    async def _send(self, messages: list[Any], encoded: dict[int, bytes]) -> None:
        if messages:
            await self._retry(partial(self._writer.send, collapse(messages), encoded), KAFKA_AWAY, "Kafka")
