"""How far a listener is behind, by a real broker."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition

from territory.wire.topics import ASSIGNMENTS
from territory_admin.log.topic_reader import started, when_coordinated
from territory_runtime.kafka import clients
from territory_runtime.loop.backpressure import Downstream, messages_behind
from tests.integration.examples import producer, provisioned, settings_for
from tests.support.servers import Kafka

SENT = {0: 5, 1: 3}
"""Messages by partition."""


def test_a_listener_is_behind_where_it_is_most(kafka: Kafka, unique: str) -> None:
    """By what it has committed; one that never committed listens to nothing (V8)."""
    settings = settings_for(kafka.bootstrap_servers)
    provisioned(settings)
    listener = Downstream(unique, ASSIGNMENTS)

    async def acts() -> list[int]:
        async with (
            started(clients.group_admin(settings)) as admin,
            started(clients.group_consumer(settings, unique)) as consumer,
        ):
            places = {number: TopicPartition(ASSIGNMENTS.name, number) for number in SENT}
            # Of a topic that the consumer does not read, as the loop asks.
            before = await consumer.end_offsets(list(places.values()))
            async with producer(settings) as sending:
                for number, count in SENT.items():
                    for _ in range(count):
                        await sending.send_and_wait(ASSIGNMENTS.name, b"{}", key=b"pace/account/A", partition=number)
            found = [await when_coordinated(lambda: messages_behind(admin, consumer, listener))]
            for taken in ((0, 0), (4, 0), (5, 3)):
                offsets = {places[number]: (before[places[number]] + count, "") for number, count in enumerate(taken)}
                consumer.assign(list(places.values()))
                await consumer.commit(offsets)
                found.append(await messages_behind(admin, consumer, listener))
            return found

    assert asyncio.run(acts()) == [0, 5, 3, 0]
