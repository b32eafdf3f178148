"""The nodes that a client of Redis speaks to: one, or the masters of a cluster.

A script is done by one node, as a whole. On a cluster it may touch keys of all the slots that its node
has, whatever keys it was sent with: Redis lets scripts without a shebang do so, and refuses those that
touch a key of another node. Scripts are sent to a node itself, never on to where a slot has moved
meanwhile: what that node may write, it has to say itself.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import redis.asyncio
import redis.exceptions
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

Client = redis.asyncio.Redis | redis.asyncio.RedisCluster

TAGS = 256
"""Hash tags of the keys that every node has for itself, spread evenly: 127 slots in a row have one."""


class NodeWithoutTag(redis.exceptions.RedisError):
    """Raised while a master has slots, but too few for a key of its own: slots are being moved. Try again."""


@dataclass(frozen=True, slots=True)
class Node:
    """One Redis, or one master of a cluster."""

    name: str
    tags: tuple[int | None, ...]
    """Of the keys that it has for itself: the first is in use; None where there is one Redis, whose keys need none."""
    do: Callable[..., Awaitable[Any]]
    """Has one command done here. Raises: RedisError, MovedError where the key is another's."""

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int | bytes]) -> Any:
        """Return what a script gives. Raises: RedisError."""
        call = ("EVALSHA", _sha(script), len(keys), *keys, *arguments)
        try:
            return await self.do(*call)
        except redis.exceptions.NoScriptError:  # it was never here, or is a replica that was promoted
            await self.do("SCRIPT LOAD", script)
            return await self.do(*call)


class Call(NamedTuple):
    """One script for one node."""

    node: Node
    script: str
    keys: Sequence[str]
    arguments: Sequence[str | int | bytes]


class Nodes:
    """The nodes of one client, as they were when last looked at; after a fault they are looked at anew."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._by_slot: list[Node] = []

    @property
    def are_many(self) -> bool:
        """Whether what is sent at once may be done at different times."""
        return isinstance(self._client, redis.asyncio.RedisCluster)

    async def all(self) -> list[Node]:
        """Return all nodes that have keys. Raises: RedisError, RedisClusterException."""
        return list({id(node): node for node in await self._slots()}.values())

    async def shares(self, commands: Iterable[tuple[str, ...]]) -> dict[str, list[tuple[str, ...]]]:
        """Return commands by the name of the node that has their key, which stands second, in their order.

        Raises: RedisError, RedisClusterException.
        """
        slots = await self._slots()
        if len(slots) == 1:
            return {slots[0].name: list(commands)}
        shares: dict[str, list[tuple[str, ...]]] = {}
        for command in commands:
            shares.setdefault(slots[key_slot(command[1].encode())].name, []).append(command)
        return shares

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Have nodes do scripts at the same time; return what each gives, or its fault, when all have ended."""
        answers = await asyncio.gather(
            *(call.node.run(call.script, call.keys, call.arguments) for call in calls), return_exceptions=True
        )
        if any(isinstance(answer, Exception) for answer in answers):
            await self.look_anew()
        return answers

    async def look_anew(self) -> None:
        """Ask the cluster before the next use who has what: a slot may have moved, or a replica was promoted."""
        if isinstance(self._client, redis.asyncio.RedisCluster):
            self._by_slot = []
            await self._client.aclose()  # it asks, and connects, when it is used again

    async def _slots(self) -> list[Node]:
        """Return the node of each slot; of a Redis alone just that."""
        if not self._by_slot:
            client = self._client
            if isinstance(client, redis.asyncio.RedisCluster):
                await client.initialize()
                try:
                    self._by_slot = _by_slot(client)
                except (NodeWithoutTag, redis.exceptions.RedisClusterException):
                    await self.look_anew()
                    raise
            else:
                self._by_slot = [Node("redis", (None,), client.execute_command)]
        return self._by_slot


class KeyWalk:
    """A walk over the keys of all nodes. A key that is there all the while comes at least once, unless its slot moves.

    What fails may be asked for again.
    """

    def __init__(self, nodes: Nodes, match: str | None = None) -> None:
        self._nodes = nodes
        self._options = () if match is None else ("MATCH", match)
        self._left: deque[Node] | None = None
        self._cursor = 0

    @property
    def is_over(self) -> bool:
        """Whether all was seen; the next page is the first again."""
        return self._left is None

    async def page(self, count: int) -> list[str]:
        """Return some of the keys, about as many as were looked at. Raises: RedisError, RedisClusterException."""
        if self._left is None:
            self._left = deque(await self._nodes.all())
        try:
            self._cursor, keys = await self._left[0].do("SCAN", self._cursor, *self._options, "COUNT", count)
        except redis.exceptions.RedisError:
            await self._nodes.look_anew()
            if self._nodes.are_many:
                self._left, self._cursor = None, 0  # a cursor is of one node
            raise
        if not self._cursor:
            self._left.popleft()
            self._left = self._left or None
        return list(map(str, keys))


async def key_pages(nodes: Nodes, match: str, count: int) -> AsyncIterator[list[str]]:
    """Yield the keys that match a pattern, in pages, each at least once. Raises: RedisError, RedisClusterException."""
    walk = KeyWalk(nodes, match)
    yield await walk.page(count)
    while not walk.is_over:
        yield await walk.page(count)


def _by_slot(client: redis.asyncio.RedisCluster) -> list[Node]:
    owners = [client.nodes_manager.get_node_from_slot(slot) for slot in range(REDIS_CLUSTER_HASH_SLOTS)]
    tags: dict[str, list[int]] = {owner.name: [] for owner in owners}
    for tag, slot in _tags().items():
        tags[owners[slot].name].append(tag)
    for name, some in tags.items():
        if not some:
            raise NodeWithoutTag(f"node {name} has too few slots for a fence of its own: move more there, or all away")
    nodes = {owner.name: Node(owner.name, tuple(tags[owner.name]), owner.execute_command) for owner in owners}
    return [nodes[owner.name] for owner in owners]


@lru_cache(maxsize=1)
def _tags() -> Mapping[int, int]:
    """Return the slot by tag: for each of `TAGS` equal ranges of slots the smallest number that is there."""
    found: dict[int, tuple[int, int]] = {}
    tag = 0
    while len(found) < TAGS:
        slot = key_slot(f"{{{tag}}}".encode())
        found.setdefault(slot * TAGS // REDIS_CLUSTER_HASH_SLOTS, (tag, slot))
        tag += 1
    return dict(sorted(found.values()))


@lru_cache(maxsize=16)
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
