"""The Redis nodes of a client: the single one, or the masters of a cluster.

One node executes a script as a whole. On a cluster a script without a shebang may touch all slots of its node,
whatever keys it was sent with; a key of another node makes it fail. Scripts are sent to a node itself and never
follow a moved slot: the node that has the slot now must be asked with a fence of its own.
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
"""Hash tags for the keys that every node has of its own, spread evenly: any 127 slots in a row have one."""


class NodeWithoutTag(redis.exceptions.RedisError):
    """Raised while a master has too few slots for a key of its own, as while slots are moved. Try again."""


@dataclass(frozen=True, slots=True)
class Node:
    """One Redis, or one master of a cluster."""

    name: str
    tags: tuple[int | None, ...]
    """Hash tags of its own keys, of which the first is used; a single Redis has the tag None."""
    execute: Callable[..., Awaitable[Any]]
    """Execute one command on this node. Raises: RedisError; MovedError if another node has the key."""

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int | bytes]) -> Any:
        """Execute a script and return its answer. Raises: RedisError."""
        call = ("EVALSHA", _sha(script), len(keys), *keys, *arguments)
        try:
            return await self.execute(*call)
        except redis.exceptions.NoScriptError:  # the node is new, restarted, or a promoted replica
            await self.execute("SCRIPT LOAD", script)
            return await self.execute(*call)


class ScriptCall(NamedTuple):
    """A script for one node, with its arguments."""

    node: Node
    script: str
    keys: Sequence[str]
    arguments: Sequence[str | int | bytes]


class Nodes:
    """The nodes of one client, cached until a node reports an error."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._by_slot: list[Node] = []

    @property
    def is_cluster(self) -> bool:
        """Whether commands that are sent together may be executed at different times."""
        return isinstance(self._client, redis.asyncio.RedisCluster)

    async def all(self) -> list[Node]:
        """Return all nodes that have slots. Raises: RedisError, RedisClusterException."""
        return list({id(node): node for node in await self._slots()}.values())

    async def group_by_node(self, commands: Iterable[tuple[str, ...]]) -> dict[str, list[tuple[str, ...]]]:
        """Return commands by the name of the node that has their key, in their order. The key is the second element.

        Raises: RedisError, RedisClusterException.
        """
        slots = await self._slots()
        if len(slots) == 1:
            return {slots[0].name: list(commands)}
        by_node: dict[str, list[tuple[str, ...]]] = {}
        for command in commands:
            by_node.setdefault(slots[key_slot(command[1].encode())].name, []).append(command)
        return by_node

    async def run(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Execute scripts on their nodes at the same time; return each one's answer or exception once all ended."""
        answers = await asyncio.gather(
            *(call.node.run(call.script, call.keys, call.arguments) for call in calls), return_exceptions=True
        )
        if any(isinstance(answer, Exception) for answer in answers):
            await self.refresh()
        return answers

    async def refresh(self) -> None:
        """Read the slot map again before the next use: a slot may have moved, or a replica was promoted."""
        if isinstance(self._client, redis.asyncio.RedisCluster):
            self._by_slot = []
            await self._client.aclose()  # the next use connects and reads the slot map

    async def _slots(self) -> list[Node]:
        """Return the node of each slot; for a single Redis, that one node."""
        if not self._by_slot:
            client = self._client
            if isinstance(client, redis.asyncio.RedisCluster):
                await client.initialize()
                try:
                    self._by_slot = _by_slot(client)
                except (NodeWithoutTag, redis.exceptions.RedisClusterException):
                    await self.refresh()
                    raise
            else:
                self._by_slot = [Node("redis", (None,), client.execute_command)]
        return self._by_slot


class KeyWalk:
    """A SCAN over the keys of all nodes. A key that exists all the while comes at least once, unless its slot moves.

    A page that failed can be asked for again.
    """

    def __init__(self, nodes: Nodes, match: str | None = None) -> None:
        self._nodes = nodes
        self._options = () if match is None else ("MATCH", match)
        self._remaining: deque[Node] | None = None
        self._cursor = 0

    @property
    def is_over(self) -> bool:
        """Whether the walk is at its end; the next page is the first one again."""
        return self._remaining is None

    async def page(self, count: int) -> list[str]:
        """Return the next keys, out of about `count` examined ones. Raises: RedisError, RedisClusterException."""
        if self._remaining is None:
            self._remaining = deque(await self._nodes.all())
        try:
            self._cursor, keys = await self._remaining[0].execute("SCAN", self._cursor, *self._options, "COUNT", count)
        except redis.exceptions.RedisError:
            await self._nodes.refresh()
            if self._nodes.is_cluster:
                self._remaining, self._cursor = None, 0  # a cursor is valid on its own node only
            raise
        if not self._cursor:
            self._remaining.popleft()
            self._remaining = self._remaining or None
        return list(map(str, keys))


async def key_pages(nodes: Nodes, match: str, count: int) -> AsyncIterator[list[str]]:
    """Yield the keys that match a pattern, in pages, at least once. Raises: RedisError, RedisClusterException."""
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
            raise NodeWithoutTag(f"node {name} has too few slots for a fence of its own: move slots to it, or all away")
    nodes = {owner.name: Node(owner.name, tuple(tags[owner.name]), owner.execute_command) for owner in owners}
    return [nodes[owner.name] for owner in owners]


@lru_cache(maxsize=1)
def _tags() -> Mapping[int, int]:
    """Return the slot of each tag: in each of `TAGS` equal ranges of slots, that of the smallest number."""
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
