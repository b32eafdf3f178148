"""Hash tags for the keys that every node of a cluster has of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import redis.asyncio
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from territory.wire.keys import fence_key, held_key
from territory_runtime.redis.nodes import TAGS, Nodes, NodeWithoutTag, _tags


def test_tags_are_spread_over_all_slots() -> None:
    """A node with any 127 slots in a row has a tag."""
    slots = sorted(_tags().values())
    assert len(slots) == TAGS
    gaps = [later - earlier for earlier, later in zip([-1, *slots], [*slots, REDIS_CLUSTER_HASH_SLOTS], strict=True)]
    assert max(gaps) <= 127


def test_a_tag_decides_the_slot_of_its_keys() -> None:
    """All fences with one tag are in one slot, so one script may name them (A9)."""
    for tag, slot in _tags().items():
        keys = [fence_key("indexer", 0, tag), fence_key("totals", 17, tag), held_key(tag)]
        assert {key_slot(key.encode()) for key in keys} == {slot}


@dataclass(frozen=True)
class Master:
    name: str

    async def execute_command(self, *_: object) -> None:
        """Do nothing: no command is sent to it."""


class Slots(redis.asyncio.RedisCluster):
    """A cluster whose node b has the slots up to a number, another one each time the slot map is read."""

    def __init__(self, *ends: int) -> None:
        self._ends = list(ends)
        self._is_read = False
        self.nodes_manager: Any = SimpleNamespace(get_node_from_slot=self._owner)

    def _owner(self, slot: int) -> Master:
        return Master("b" if slot < self._ends[0] else "a")

    async def initialize(self, *_: Any, **__: Any) -> Slots:
        """Read the slot map, unless it was read since the client was closed."""
        if not self._is_read:
            self._is_read = True
            del self._ends[0]
        return self

    async def aclose(self) -> None:
        """Forget the slot map."""
        self._is_read = False

    def __del__(self, *_: Any) -> None:
        """Close nothing."""


def test_a_node_without_a_tag_can_be_retried() -> None:
    """While slots are moved to a node it may have none of the tags; each attempt reads the slot map again."""
    first = min(_tags().values())

    async def acts() -> None:
        nodes = Nodes(Slots(0, first, first + 1))
        with pytest.raises(NodeWithoutTag, match="node b has too few slots"):
            await nodes.all()
        assert [(node.name, len(node.tags)) for node in await nodes.all()] == [("b", 1), ("a", TAGS - 1)]

    asyncio.run(acts())
