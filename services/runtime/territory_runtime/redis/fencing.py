"""Who may write: for each partition one worker at a time, even where another one wakes up late.

The consumer group says who has a partition. A worker that stood still for longer than its session
lasts has not heard that its partitions went to others, and goes on in the middle of a turn. Its
commit is refused by the group; what it sends before that is refused here.

- To Redis: every script of writes names the *term* of its partitions and is refused where a later
  one has begun. A term begins with a commit, which only the group's present member can make.
- To Kafka: a produce request leaves only as long as the *lease* runs, which is as long as the group
  keeps a silent member, counted from before its last commit was sent.

Beside the term Redis counts the scripts, and the note beside the committed offset says how many
there were. So a Redis that was emptied, or came back from an older copy, is seen at the next write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import redis.exceptions

from territory.wire.keys import fence_key
from territory_runtime.loop.model_snapshot import CommitMetadata, SnapshotId
from territory_runtime.redis.nodes import Call, Client, Nodes

TAKE = """
local names, latest, counts = {KEYS[1], unpack(ARGV, 3)}, tonumber(ARGV[1]), {}
for i, name in ipairs(names) do
  local term, count = string.match(redis.call('GET', name) or '', '^(%d+)%.(%d+)$')
  latest, counts[i] = math.max(latest, tonumber(term or 0)), tonumber(count)
end
if latest > tonumber(ARGV[1]) then return {latest, 0, 0} end
for i, name in ipairs(names) do redis.call('SET', name, string.format('%s.%.0f', ARGV[1], counts[i] or 0)) end
return {latest, counts[1] or 0, counts[1] and counts[1] >= tonumber(ARGV[2]) and 1 or 0}
"""


class Fenced(Exception):
    """Raised when another worker has taken a partition: nothing was written."""


class SinkRolledBack(Exception):
    """Raised when Redis lacks what was written: it was emptied, or is an older copy. Nothing was written."""


class SinkPaused(redis.exceptions.RedisError):
    """Raised while nobody may write, since the index is being exchanged. Nothing was written; try again."""


@dataclass(slots=True)
class _Fence:
    term: int
    confirmed: int
    """The count after the last script that Redis has answered."""
    attempted: int
    """The count after the last one that was sent."""


class Fences:
    """The fences of a stage's partitions that this worker has taken.

    On a cluster a partition has a fence on every master, and all count alike: each node is sent every
    script, if only to count it. Which key is a node's fence follows from the slots that it has. Where
    slots move, that may become another of a fixed number of keys. So a term is begun with all of these,
    and a worker that knows the slots as they were finds the later term there, too.
    """

    def __init__(self, client: Client, stage: str) -> None:
        self.nodes = Nodes(client)
        self.stage = stage
        self._taken: dict[int, _Fence] = {}

    async def take(self, partition: int, term: int, written: int) -> tuple[int, bool]:
        """Begin a term, so that whoever had the partition before can't write any more.

        Args:
            partition: The partition, which the group has confirmed to be ours.
            term: A term later than what the last note says.
            written: How many scripts of writes the last note says that there were.

        Returns:
            The term that Redis has, which is later than ours if it has heard of one that was never
            noted: then ours has not begun. And whether Redis has all that was written; what says that it has
            not stays there, until a note says so, too.
        """
        calls = []
        for node in await self.nodes.all():
            key, *others = [fence_key(self.stage, partition, tag) for tag in node.tags]
            calls.append(Call(node, TAKE, [key], [term, written, *others]))
        answers = await self.nodes.run(calls)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        latest = max(found for found, _, _ in answers)
        if latest == term:
            counts = [count for _, count, _ in answers]
            self._taken[partition] = _Fence(term, min(counts), max(counts))
        return latest, all(is_whole for _, _, is_whole in answers)

    def written(self, partition: int) -> int:
        """Return how many scripts of writes there were in this partition, in all terms."""
        fence = self._taken.get(partition)
        return 0 if fence is None else fence.confirmed

    def keys(self, partitions: Iterable[int], tag: int | None = None) -> list[str]:
        """Return the keys of partitions' fences; with a tag those of a cluster's node."""
        return [fence_key(self.stage, partition, tag) for partition in partitions]

    def begin(self, partitions: Iterable[int]) -> list[int]:
        """Return the arguments of a script of writes: by partition the term, the least count and the new one."""
        arguments = []
        for partition in partitions:
            fence = self._taken[partition]
            fence.attempted += 1
            arguments += [fence.term, fence.confirmed, fence.attempted]
        return arguments

    def confirm(self, partitions: Iterable[int]) -> None:
        """Note that Redis has answered."""
        for partition in partitions:
            fence = self._taken[partition]
            fence.confirmed = fence.attempted


async def begin_epoch(
    fences: Fences | None, partition: int, note: CommitMetadata, commit: Callable[[CommitMetadata], Awaitable[None]]
) -> CommitMetadata:
    """Begin a term of a partition, so that no other worker can write it; return the note with it.

    Args:
        fences: Of the stage's store, if it has one.
        partition: Which.
        note: What stands beside the committed offsets.
        commit: Commits another note there. It comes first: only the group's present member can.

    Raises: Rewound, when Redis lacks what was written; the note says by then that nothing is known,
    since a restore may be cut at any point, and what it writes hides that something is missing.
    """
    ours = note._replace(term=note.term + 1)
    while True:
        await commit(ours)
        if fences is None:
            return ours
        found, is_whole = await fences.take(partition, ours.term, note.written)
        if found > ours.term:  # Redis has heard of more terms than the group remembers
            ours = ours._replace(term=found + 1)
        elif not is_whole and note.swept != SnapshotId():
            await commit(CommitMetadata(term=ours.term))
            raise SinkRolledBack(f"partition {partition}: Redis lacks what was written before")
        else:
            return ours._replace(written=fences.written(partition))
