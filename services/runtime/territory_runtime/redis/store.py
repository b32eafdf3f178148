"""What every store in Redis shares: how far the index is (contracts: `index:{org}`)."""

from __future__ import annotations

from typing import Any

from territory.wire.keys import index_key
from territory_runtime.loop.stage import Progress
from territory_runtime.redis.nodes import Client
from territory_runtime.redis.pipe import Pipe

CHUNK_MEMBERS = 500


# As one step: else who has read before another writes would write an older least over a newer one.
SETTLE = """
local least
for _, revision in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV))) do
  if not revision then return end
  least = math.min(least or tonumber(revision), tonumber(revision))
end
redis.call('HSET', KEYS[1], 'model_revision', string.format('%.0f', least))
"""


class ProgressBook:
    """Writes how far a stage's partitions are, an organisation's only when it has changed."""

    def __init__(self, client: Client) -> None:
        self._settle: Any = client.register_script(SETTLE)
        self._written: dict[tuple[str, int, str], int] = {}

    def forget(self, partition: int) -> None:
        """Take it that nothing of a partition is written: another worker had it, or Redis was emptied."""
        for place in [place for place in self._written if place[1] == partition]:
            del self._written[place]

    def add(self, pipe: Pipe, progress: Progress, touched: frozenset[str]) -> None:
        """Queue a partition's progress for the organisations whose data or revision changed.

        The revision says that all of the partition is there under it; it is written once for each.
        """
        for org, revision in progress.revisions.items():
            is_new = self._is_new(progress, org, revision)
            if org in touched or is_new:
                pipe.hset(index_key(org), f"{progress.stage}:{progress.partition}:offset", str(progress.offset))
            if is_new:
                pipe.hset(index_key(org), _revision_field(progress.stage, progress.partition), str(revision))

    async def settle(self, progress: list[Progress], partitions: int) -> None:
        """After a write: `model_revision` is the revision that all partitions of the stage are under."""
        for one in progress:
            for org, revision in one.revisions.items():
                if self._is_new(one, org, revision):
                    fields = [_revision_field(one.stage, number) for number in range(partitions)]
                    await self._settle(keys=[index_key(org)], args=fields)
        self.note(progress)

    def note(self, progress: list[Progress]) -> None:
        """After a write: remember what is in Redis, so that it is not written again."""
        for one in progress:
            for org, revision in one.revisions.items():
                self._written[one.stage, one.partition, org] = revision

    def _is_new(self, progress: Progress, org: str, revision: int) -> bool:
        return self._written.get((progress.stage, progress.partition, org)) != revision


def _revision_field(stage: str, partition: int) -> str:
    return f"{stage}:{partition}:model_revision"
