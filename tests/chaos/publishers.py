"""The publishers of a run: the CRMs without a pause, the administrators now and then."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError
from kafka.errors import KafkaError as AdminKafkaError

from territory.wire.keys import partition_of
from territory.wire.topics import RECORDS
from territory_admin.errors import CommandFailed
from territory_admin.log.topic_reader import started
from territory_runtime.kafka import clients
from tests.chaos.history import ORGS, HistoryMessage
from tests.support.house import House

AGAIN_SECONDS = 0.3
CHUNK_SECONDS = 0.1
SEND_SECONDS_MAX = 10.0
MODEL_SECONDS = (3.0, 9.0)
KIND_HEADER = "chaos"
"""The header that tells the verdict the kind of a message; the services ignore it."""


class Crms:
    """Publishes a history at a rate; repeats what the broker does not acknowledge, so messages may come twice."""

    def __init__(self, house: House, history: Iterator[HistoryMessage], per_second: int) -> None:
        self._house = house
        self._history = history
        self._chunk = max(1, int(per_second * CHUNK_SECONDS))
        self.events = 0
        """Number of acknowledged messages."""

    def publish(self, until: float) -> None:
        """Publish what is due until a time (monotonic); catch up if the broker delayed it."""
        asyncio.run(self._publish(time.monotonic(), until))

    async def _publish(self, began: float, until: float) -> None:
        chunk: list[HistoryMessage] = []
        sent, chunks = 0, int((until - began) / CHUNK_SECONDS)
        while sent < chunks:
            try:
                # After a failure a new one: the old one may not know what the broker has of it.
                async with started(clients.producer(self._house.settings)) as producer:
                    while sent < chunks:
                        await asyncio.sleep(max(0.0, began + sent * CHUNK_SECONDS - time.monotonic()))
                        chunk = chunk or list(islice(self._history, self._chunk))
                        async with asyncio.timeout(SEND_SECONDS_MAX):
                            await self._send(producer, chunk)
                        sent, chunk = sent + 1, []
                        self.events += self._chunk
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(AGAIN_SECONDS)

    async def _send(self, producer: Any, chunk: list[HistoryMessage]) -> None:
        acknowledged = [
            await producer.send(
                RECORDS.name, said.value, key=said.key.encode(), headers=[(KIND_HEADER, said.kind.encode())],
                partition=partition_of(said.key, self._house.settings.kafka_partitions),
            )
            for said in chunk
        ]  # fmt: skip
        for answer in await asyncio.gather(*acknowledged, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer


class Applied(NamedTuple):
    """A model that was applied, with its revision."""

    model: dict[str, Any]
    revision: int


class Administrators:
    """Applies one model after another; a model that fails to get through is applied again."""

    def __init__(self, house: House, models: Iterator[dict[str, Any]], seed: int) -> None:
        self._house = house
        self._models = models
        self._dice = random.Random(f"administrators {seed}")  # noqa: S311
        self.applied: dict[str, Applied] = {}
        """The last model of each organisation."""
        self.count = 0

    def apply_one(self) -> None:
        """Apply the next model."""
        self._apply(next(self._models))

    def touch(self) -> None:
        """Change a model so that nothing follows from it, but every stage and partition has to commit and write.

        A worker that then finds that Redis has lost data has it written again first.
        """
        last = self.applied[ORGS[0]].model
        self._apply({**last, "roles": [*last["roles"], {"id": "of-nobody"}]})

    def _apply(self, model: dict[str, Any]) -> None:
        while True:
            try:
                revision = self._house.apply(model)
            except (KafkaError, AdminKafkaError, OSError, CommandFailed, TimeoutError):
                time.sleep(AGAIN_SECONDS)
            else:
                self.applied[model["org"]] = Applied(model, revision)
                self.count += 1
                return

    def apply(self, until: float) -> None:
        """Apply models until a time (monotonic) is past; at least one for each organisation."""
        while len(self.applied) < len(ORGS) or time.monotonic() < until:
            self.apply_one()
            time.sleep(min(self._dice.uniform(*MODEL_SECONDS), max(0.0, until - time.monotonic())))
