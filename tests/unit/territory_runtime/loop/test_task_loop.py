"""What holds of the loop as a text, and how it passes to other models."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import TopicPartition

from territory.model.compiled import Model, compile_model
from territory.stage import Fold
from territory.wire import topics
from territory_runtime.health import Health
from territory_runtime.loop.model_snapshot import ModelSnapshot, SnapshotId
from territory_runtime.loop.model_watcher import ModelWatcher
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.stage import Stage
from territory_runtime.loop.task_loop import TaskLoop
from territory_runtime.settings import read_settings

PARTITIONS = 3


class _Fold:
    def __len__(self) -> int:
        return 1

    def sweep(self, model: Model, limit: int) -> Iterable[Any]:
        return iter(())


class _Models(ModelWatcher):
    """A watcher that a test says the newest models of."""

    def now_are(self, *models: Model) -> None:
        position = self.activated.moment.position + 1
        activated_at = {model.org_id: position for model in models}
        self.activated = ModelSnapshot({model.org_id: model for model in models}, activated_at, SnapshotId(position))


class _Loop(TaskLoop):
    """The loop with its partitions, without a broker."""

    def __init__(self) -> None:
        health, settings = Health(), read_settings({})
        self.models = _Models(settings, health)
        self.models.now_are(compile_model({"org": "acme"}, 1))
        stage = Stage(
            "s", {topics.ASSIGNMENTS: bytes}, (topics.ASSIGNMENTS, bytes), make=lambda *_: cast(Fold, _Fold())
        )
        super().__init__(stage, settings, self.models, health, PARTITIONS)
        for number in range(PARTITIONS):
            self._held[number] = PartitionTask(cast(Fold, _Fold()), {})
            self._held[number].pass_to(self.models.activated)
        self._taken_over = True

    async def _commit(self, touched: set[int], offsets: Any) -> None:
        for number in touched:
            self._held[number].committed = self._held[number].note

    def passed(self) -> int:
        """Let one round begin; return how many partitions are under the newest models then."""
        asyncio.run(self._follow_models())
        return sum(part.now is self.models.activated for part in self._held.values())


def test_one_partition_a_round_closes_periods() -> None:
    """Each counts all its deals at once; all of them in one turn could outlast the session (F12)."""
    loop = _Loop()
    loop.models.now_are(compile_model({"org": "acme", "frozen_periods": ["2017-Q1"]}, 2, closed_since={"2017-Q1": 2}))
    assert [loop.passed() for _ in range(PARTITIONS)] == [1, 2, 3]
    loop.models.now_are(compile_model({"org": "acme"}, 3))
    assert loop.passed() == PARTITIONS


def test_organisations_that_come_after_the_model_topic_was_replaced() -> None:
    """What they said under the topic before is not known: their partitions are taken over anew (A9)."""
    loop = _Loop()
    acme, beta = (compile_model({"org": org}, 2) for org in ("acme", "beta"))
    loop.models.now_are(acme, beta)
    assert loop.passed() == PARTITIONS
    loop.models.was_replaced = True
    loop.models.now_are(acme, beta)
    assert (loop.passed(), loop._taken_over) == (PARTITIONS, True)
    loop.models.now_are(acme, beta, compile_model({"org": "gamma"}, 1))
    assert (loop.passed(), loop._taken_over) == (0, False)


class _Consumer:
    """A member of a group that accepts every commit."""

    _coordinator = SimpleNamespace(generation=1)

    async def commit(self, offsets: Any) -> None:
        pass


def test_a_commit_during_a_rebalance_renews_no_lease() -> None:
    """The group accepts it from the generation that ends, and then gives the partitions to others (A9)."""

    async def play() -> list[bool]:
        loop = _Loop()
        loop._consumer = _Consumer()
        renewed = []
        for change in (loop.on_partitions_revoked, loop.on_partitions_assigned):
            await change({TopicPartition(topics.ASSIGNMENTS.name, 0)})
            await loop._commit_to_group({})
            renewed.append(not loop._lease.is_half_gone)
        return renewed

    assert asyncio.run(play()) == [False, True]
