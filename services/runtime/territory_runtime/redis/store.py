"""What all sinks in Redis share: the progress in `index:{org}` (contracts: Redis)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from territory.wire.keys import index_key
from territory_runtime.loop.stage import Progress
from territory_runtime.redis.nodes import Client
from territory_runtime.redis.pipe import FencedPipeline

CHUNK_MEMBERS = 500
"""Members in one SADD or SREM."""


# One script, so that two workers that finish at once can't leave the lower of two minimums.
SETTLE = """
local least
for _, revision in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV))) do
  if not revision then return end
  least = math.min(least or tonumber(revision), tonumber(revision))
end
redis.call('HSET', KEYS[1], 'model_revision', string.format('%.0f', least))
"""


class ProgressWriter:
    """Writes the offset and the model revision of partitions, per organisation and only when they matter."""

    def __init__(self, client: Client) -> None:
        self._settle: Any = client.register_script(SETTLE)
        self._written: dict[tuple[str, int, str], int] = {}
        """By stage, partition and organisation, the revision in Redis."""

    def forget(self, partition: int) -> None:
        """Assume that nothing of a partition is written: another worker had it, or Redis was emptied."""
        for place in [place for place in self._written if place[1] == partition]:
            del self._written[place]

    def add(self, pipeline: FencedPipeline, progress: Progress, changed_orgs: frozenset[str]) -> None:
        """Queue the progress of a partition for the organisations whose records or revision changed.

        A revision means that all records of the partition are under it; it is written once.
        """
        for org, revision in progress.revisions.items():
            is_new = self._is_new(progress, org, revision)
            if org in changed_orgs or is_new:
                pipeline.hset(index_key(org), f"{progress.stage}:{progress.partition}:offset", str(progress.offset))
            if is_new:
                pipeline.hset(index_key(org), _revision_field(progress.stage, progress.partition), str(revision))

    async def write(self, pipeline: FencedPipeline, progress: Sequence[Progress], changed_orgs: frozenset[str]) -> None:
        """Execute what is queued, and only then write the progress that follows from it. Raises: RedisError."""
        await pipeline.barrier()
        for one in progress:
            self.add(pipeline, one, changed_orgs)
        await pipeline.execute()

    async def settle(self, progress: list[Progress], partitions: int) -> None:
        """After a write: set `model_revision` to the lowest revision of all partitions, once each has one."""
        for one in progress:
            for org, revision in one.revisions.items():
                if self._is_new(one, org, revision):
                    fields = [_revision_field(one.stage, number) for number in range(partitions)]
                    await self._settle(keys=[index_key(org)], args=fields)
        self.remember(progress)

    def remember(self, progress: list[Progress]) -> None:
        """After a write: remember the revisions in Redis, so that they are not written again."""
        for one in progress:
            for org, revision in one.revisions.items():
                self._written[one.stage, one.partition, org] = revision

    def _is_new(self, progress: Progress, org: str, revision: int) -> bool:
        return self._written.get((progress.stage, progress.partition, org)) != revision


def _revision_field(stage: str, partition: int) -> str:
    return f"{stage}:{partition}:model_revision"
