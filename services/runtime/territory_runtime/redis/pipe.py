"""Many small commands to Redis at once, which are refused together where the partition is another worker's.

They go as one argument of a script, which costs no more than a pipeline of them: packing and
reading replies is done once. Redis does a script as a whole, so it has a bounded size.

On a cluster every node gets a script with the commands for its keys, and with its own fences; one
without commands, too: so each has counted as many. Nodes do theirs at different times, and one may
refuse what another has done: then the turn is repeated, as after a crash between two scripts.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import msgspec

from territory.wire.keys import held_key
from territory_runtime import metrics
from territory_runtime.redis.fencing import Fenced, Fences, SinkPaused, SinkRolledBack
from territory_runtime.redis.nodes import Call

CHUNK_ARGUMENTS = 5_000
"""Names, values and members in a script: about 5 ms of Redis' time, in which nobody else is answered."""

WRITE = """
if #KEYS > 1 and redis.call('EXISTS', KEYS[1]) == 1 then return {'held', 0} end
local late = false
for i = 2, #KEYS do
  local term, count = string.match(redis.call('GET', KEYS[i]) or '', '^(%d+)%.(%d+)$')
  local n = 3 * (i - 2) + 2
  if term and tonumber(term) > tonumber(ARGV[n]) then return {'fenced', term} end
  if not term or tonumber(term) < tonumber(ARGV[n]) or tonumber(count) < tonumber(ARGV[n + 1]) then
    return {'rewound', redis.call('GET', KEYS[i]) or ''}
  end
  -- one that was given up, and sent again by another connection before it came; another fence may say more
  late = late or tonumber(count) >= tonumber(ARGV[n + 2])
end
if late then return {'late', 0} end
for _, command in ipairs(cmsgpack.unpack(ARGV[1])) do redis.call(unpack(command)) end
for i = 2, #KEYS do
  local n = 3 * (i - 2) + 2
  redis.call('SET', KEYS[i], ARGV[n] .. '.' .. ARGV[n + 2])
end
return {'done', 0}
"""


class Pipe:
    """Commands that are done in order, a bounded number as a whole; others' commands may come between those.

    On a cluster the order is that of each node; what must be done everywhere before what follows, a `barrier` ends.
    """

    def __init__(self, fences: Fences, partitions: Collection[int], prefix: str = "") -> None:
        """Collect commands for partitions whose fences were taken; with none they are refused to nobody.

        Every key is put under the prefix.
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
        # Numbers as texts: a script knows no integers beyond 2 ** 53.
        self._add("HSET", key, *map(str, names_and_values))

    def hdel(self, key: str, *names: str) -> None:
        """Remove fields of a hash."""
        self._add("HDEL", key, *names)

    def sadd(self, key: str, *members: str) -> None:
        """Put members into a set."""
        self._add("SADD", key, *members)

    def srem(self, key: str, *members: str) -> None:
        """Take members out of a set."""
        self._add("SREM", key, *members)

    def delete(self, key: str) -> None:
        """Remove a key."""
        self._add("DEL", key)

    def _add(self, name: str, key: str, *arguments: str) -> None:
        self._commands.append((name, self._prefix + key, *arguments))
        self._arguments += 2 + len(arguments)

    async def barrier(self) -> None:
        """Have what was collected done before what is collected from now on, also on other nodes.

        Raises: as `execute`.
        """
        if self._commands and self._fences.nodes.are_many:
            await self.execute()

    async def execute(self) -> None:
        """Have what was collected done, if all fences are ours; with nothing collected that is only seen.

        Raises: Fenced, Rewound, StoreHeld: nothing was done, or on other nodes of a cluster only.
        redis.exceptions.RedisError, RedisClusterException: a connection failed, or a command was
        refused; those before it are done then.
        """
        commands, self._commands, self._arguments = self._commands, [], 0
        if not commands and not self._partitions:
            return
        nodes = self._fences.nodes
        shares = await nodes.shares(commands)
        arguments = self._fences.begin(self._partitions)
        calls = []
        for node in await nodes.all():
            if self._partitions or node.name in shares:
                tag = node.tags[0]
                packed = msgspec.msgpack.encode(shares.get(node.name, []))
                keys = [held_key(tag), *self._fences.keys(self._partitions, tag)]
                calls.append(Call(node, WRITE, keys, [packed, *arguments]))
        started = time.monotonic()
        answers = await nodes.run(calls)
        metrics.REDIS.labels(stage=self._fences.stage).observe(time.monotonic() - started)
        refused = dict(answer for answer in answers if not isinstance(answer, Exception))
        if "held" in refused:
            raise SinkPaused("the index is being exchanged")
        if "fenced" in refused:
            raise Fenced(f"another worker has begun term {refused['fenced']}")
        if "rewound" in refused:
            found = refused["rewound"]
            raise SinkRolledBack(f"found {found!r} where this worker has written: it was emptied, or is an older copy")
        if "late" in refused:
            raise SinkRolledBack("another worker of the same term has written")
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        self._fences.confirm(self._partitions)
