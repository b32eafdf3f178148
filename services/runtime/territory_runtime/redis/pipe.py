"""Sends many small commands to Redis in one script, which a worker with an older epoch can't execute.

The commands are one packed argument of the script, so it costs no more than a pipeline: packing and parsing is done
once. Redis executes a script as a whole, so its size is bounded.

On a cluster every node gets a script with the commands for its keys and with its own fences; a node without commands
gets an empty one, so that all count the same. Nodes execute at different times, and one may refuse what another has
executed: then the batch is repeated, as after a crash between two scripts.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import msgspec

from territory.wire.keys import held_key
from territory_runtime import metrics
from territory_runtime.redis.fencing import Fenced, Fences, SinkPaused, SinkRolledBack
from territory_runtime.redis.nodes import ScriptCall

CHUNK_ARGUMENTS = 5_000
"""Names, values and members in one script: about 5 ms of Redis' time, during which it answers nobody else."""

WRITE = """
if #KEYS > 1 and redis.call('EXISTS', KEYS[1]) == 1 then return {'paused', 0} end
local late = false
for i = 2, #KEYS do
  local epoch, sequence = string.match(redis.call('GET', KEYS[i]) or '', '^(%d+)%.(%d+)$')
  local n = 3 * (i - 2) + 2
  if epoch and tonumber(epoch) > tonumber(ARGV[n]) then return {'fenced', epoch} end
  if not epoch or tonumber(epoch) < tonumber(ARGV[n]) or tonumber(sequence) < tonumber(ARGV[n + 1]) then
    return {'rolled_back', redis.call('GET', KEYS[i]) or ''}
  end
  -- a script that was given up and sent again on another connection; the next fences may have a worse answer
  late = late or tonumber(sequence) >= tonumber(ARGV[n + 2])
end
if late then return {'late', 0} end
for _, command in ipairs(cmsgpack.unpack(ARGV[1])) do redis.call(unpack(command)) end
for i = 2, #KEYS do
  local n = 3 * (i - 2) + 2
  redis.call('SET', KEYS[i], ARGV[n] .. '.' .. ARGV[n + 2])
end
return {'done', 0}
"""
"""Keys: the pause key and the fences. Arguments: the packed commands, then `Fences.begin_write` for each fence.

Workers of several releases share the fences: a value stays `<epoch>.<write sequence>`.
"""


class FencedPipeline:
    """Commands that Redis executes in their order, a bounded number at a time; others' commands may come in between.

    On a cluster each node keeps the order of its own commands. A `barrier` orders commands across nodes.
    """

    def __init__(self, fences: Fences, partitions: Collection[int], prefix: str = "") -> None:
        """Collect commands under the fences of partitions, whose epochs have begun; without partitions, unfenced.

        The prefix goes before every key.
        """
        self._prefix = prefix
        self._fences = fences
        self._partitions = partitions
        self._commands: list[tuple[str, ...]] = []
        self._arguments = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to execute what was collected."""
        return self._arguments >= CHUNK_ARGUMENTS

    def hset(self, key: str, *names_and_values: str | int) -> None:
        """Set fields of a hash: a name, its value, and so on."""
        # Numbers go as texts: Lua has no exact integers above 2 ** 53.
        self._add("HSET", key, *map(str, names_and_values))

    def hdel(self, key: str, *names: str) -> None:
        """Remove fields of a hash."""
        self._add("HDEL", key, *names)

    def sadd(self, key: str, *members: str) -> None:
        """Add members to a set."""
        self._add("SADD", key, *members)

    def srem(self, key: str, *members: str) -> None:
        """Remove members from a set."""
        self._add("SREM", key, *members)

    def delete(self, key: str) -> None:
        """Delete a key."""
        self._add("DEL", key)

    def _add(self, name: str, key: str, *arguments: str) -> None:
        self._commands.append((name, self._prefix + key, *arguments))
        self._arguments += 2 + len(arguments)

    async def barrier(self) -> None:
        """Execute what was collected before anything that is collected after this, on all nodes.

        Raises: as `execute`.
        """
        if self._commands and self._fences.nodes.is_cluster:
            await self.execute()

    async def execute(self) -> None:
        """Execute what was collected, if no fence refuses it. Without commands, this only checks the fences.

        Raises: Fenced, SinkRolledBack, SinkPaused: nothing was executed; on a cluster, other nodes may have done so.
        redis.exceptions.RedisError, RedisClusterException: a connection or a command failed; the commands before it
        may have been executed.
        """
        commands, self._commands, self._arguments = self._commands, [], 0
        if not commands and not self._partitions:
            return
        nodes = self._fences.nodes
        by_node = await nodes.group_by_node(commands)
        arguments = self._fences.begin_write(self._partitions)
        calls = []
        for node in await nodes.all():
            if self._partitions or node.name in by_node:
                tag = node.tags[0]
                packed = msgspec.msgpack.encode(by_node.get(node.name, []))
                keys = [held_key(tag), *self._fences.keys(self._partitions, tag)]
                calls.append(ScriptCall(node, WRITE, keys, [packed, *arguments]))
        started = time.monotonic()
        answers = await nodes.run(calls)
        metrics.REDIS.labels(stage=self._fences.stage).observe(time.monotonic() - started)
        refused = dict(answer for answer in answers if not isinstance(answer, Exception))
        if "paused" in refused:
            raise SinkPaused("writes are paused while a rebuilt index is swapped in")
        if "fenced" in refused:
            raise Fenced(f"another worker has begun epoch {refused['fenced']} of a partition of this one")
        if "rolled_back" in refused:
            found = refused["rolled_back"]
            raise SinkRolledBack(
                f"found {found!r} as epoch and write sequence, expected what this worker wrote last: "
                "Redis was emptied, or is an older copy"
            )
        if "late" in refused:
            raise SinkRolledBack("another worker with the same epoch has written")
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        self._fences.confirm_write(self._partitions)
