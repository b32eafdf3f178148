"""Hash tags of the keys that every node of a cluster has for itself."""

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
    """So that a node with 127 slots in a row has one, wherever they are."""
    slots = sorted(_tags().values())
    assert len(slots) == TAGS
    gaps = [later - earlier for earlier, later in zip([-1, *slots], [*slots, REDIS_CLUSTER_HASH_SLOTS], strict=True)]
    assert max(gaps) <= 127


def test_a_tag_decides_the_slot_of_its_keys() -> None:
    """The fences of all stages and partitions with one tag are in one slot: one script may name them (A9)."""
    for tag, slot in _tags().items():
        keys = [fence_key("indexer", 0, tag), fence_key("totals", 17, tag), held_key(tag)]
        assert {key_slot(key.encode()) for key in keys} == {slot}


@dataclass(frozen=True)
class Master:
    name: str

    async def execute_command(self, *_: object) -> None:
        """Do nothing: nothing is asked of it."""


class Slots(redis.asyncio.RedisCluster):
    """A cluster whose node b has the slots up to a number that grows whenever it is asked."""

    def __init__(self, *ends: int) -> None:
        self._ends = list(ends)
        self._asked = False
        self.nodes_manager: Any = SimpleNamespace(get_node_from_slot=self._owner)

    def _owner(self, slot: int) -> Master:
        return Master("b" if slot < self._ends[0] else "a")

    async def initialize(self, *_: Any, **__: Any) -> Slots:
        """Ask, unless it was asked since it was closed."""
        if not self._asked:
            self._asked = True
            del self._ends[0]
        return self

    async def aclose(self) -> None:
        """Have it asked when it is used next."""
        self._asked = False

    def __del__(self, *_: Any) -> None:
        """Nothing is open."""


def test_a_node_without_a_tag_is_waited_for() -> None:
    """While slots are moved to it, it has to get so many; each time the cluster is asked anew."""
    first = min(_tags().values())

    async def acts() -> None:
        nodes = Nodes(Slots(0, first, first + 1))
        with pytest.raises(NodeWithoutTag, match="node b has too few slots"):
            await nodes.all()
        assert [(node.name, len(node.tags)) for node in await nodes.all()] == [("b", 1), ("a", TAGS - 1)]

    asyncio.run(acts())
