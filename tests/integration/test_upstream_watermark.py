"""How far a stage is, by what its group has committed on a real broker."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition

from territory.wire.topics import FAMILIES
from territory_admin.log.topic_reader import started
from territory_runtime.kafka import clients
from territory_runtime.loop.model_snapshot import NOTHING_ACTIVATED
from territory_runtime.loop.upstream_watermark import decided_position
from tests.integration.examples import PARTITIONS, provisioned, settings_for
from tests.support.servers import Kafka


def test_a_stage_is_as_far_as_its_last_partition(kafka: Kafka, unique: str) -> None:
    """Nothing before all partitions have spoken; then the least that they are swept for, not swept towards (V8)."""
    settings = settings_for(kafka.bootstrap_servers)
    provisioned(settings)
    notes = {0: "12 # 3 4", 1: "9 > 15 : 5 of 8 # 1 2", 2: "11 1488283200 # 1 1"}
    assert len(notes) == PARTITIONS

    async def acts() -> list[int]:
        found = []
        async with started(clients.group_admin(settings)) as admin:
            async with started(clients.group_consumer(settings, unique)) as consumer:
                consumer.assign([TopicPartition(FAMILIES.name, number) for number in notes])
                for number, note in notes.items():
                    await consumer.commit({TopicPartition(FAMILIES.name, number): (0, note)})
                    found.append(await decided_position(admin, unique, PARTITIONS))
                await consumer.commit({TopicPartition(FAMILIES.name, 1): (0, "15 # 1 3")})
            return [*found, await decided_position(admin, unique, PARTITIONS)]

    assert asyncio.run(acts()) == [NOTHING_ACTIVATED, NOTHING_ACTIVATED, 9, 11]
