"""The forecast's second step under Faust: an agent adds partials up in a table.

Partials come at a low rate: one a turn for each sum that changed. Faust acknowledges an event
when the agent says so, here after the attainment is on its topic and in Redis; a table
written twice with the same absolute partial is the same table.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import faust
import redis.asyncio
import structlog
from aiokafka.errors import KafkaError
from mode import CrashingSupervisor, Service
from pydantic import TypeAdapter

from forecast_aggregator.core.totals import total_of, with_part, without_void
from forecast_aggregator.redis_forecast import AttainmentPlace, write_attainments
from territory import topics
from territory.codec import decode, encode, reader_of
from territory.errors import BadMessage
from territory.events import Attainment, Partial, SourceSwept
from territory.fold import Message
from territory.keys import attainment_key, parse_partial_key, partition_of
from territory_runtime import kafka, metrics
from territory_runtime.health import Health
from territory_runtime.host import Host, stop_at_once
from territory_runtime.sending import Sender
from territory_runtime.waiting import KAFKA_AWAY, REDIS_AWAY, until_done

log = structlog.get_logger("territory")

GROUP = "forecast-totals"
FLUSH_SECONDS = 0.1
PENDING_EVENTS_MAX = 1_000

_read_partial = reader_of(Partial)
_read_swept = reader_of(SourceSwept)
_parts_of = TypeAdapter(dict[int, Partial]).validate_python


class TotalsAgent(Service):
    """Keeps attainments: the totals of all partitions' partials."""

    def __init__(self, host: Host, client: redis.asyncio.Redis) -> None:
        super().__init__()
        self._settings = host.settings
        self._health: Health = host.health
        self._partitions = host.partitions
        self._redis = client
        self._pending: dict[AttainmentPlace, Attainment | None] = {}
        self._unacknowledged: list[Any] = []
        self._flushing = asyncio.Lock()
        self._sender: Sender
        app = host.app
        raw: Any = faust.Schema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        self._table = app.Table(
            "totals",
            key_type=bytes,
            value_type=bytes,
            schema=raw,
            partitions=host.partitions,
            changelog_topic=app.topic(
                topics.TOTALS.name, schema=raw, partitions=host.partitions, compacting=True, internal=True
            ),
        )
        source = app.topic(topics.PARTIALS.name, schema=raw, partitions=host.partitions)
        # By default Faust would start a failed agent again with the next event and forget this one.
        app.agent(source, name="add_up", supervisor_strategy=CrashingSupervisor)(self._add_up)
        app.on_partitions_revoked.connect(self._let_go)

    async def on_start(self) -> None:
        """Connect the producer that attainments are sent by."""
        producer = kafka.producer(self._settings)
        await producer.start()
        self._producer = producer
        self._sender = Sender(producer, self._partitions)

    async def on_stop(self) -> None:
        """Let go of Kafka and Redis."""
        await self._producer.stop()
        await self._redis.aclose()

    @Service.task
    async def _flush_often(self) -> None:
        while not self.should_stop:
            await self._flush()
            self._health.beat(GROUP)
            await self.sleep(FLUSH_SECONDS)

    async def _let_go(self, *_: Any, **__: Any) -> None:
        """Say what is pending before another worker says what follows."""
        await self._flush()

    async def _add_up(self, stream: Any) -> None:
        """Take partials one by one; what they add up to is said by the next flush."""
        async for event in stream.noack().events():
            try:
                self._take(event.message.key, event.message.value, event.message.partition)
            except BadMessage as bad:
                # Only we write this topic. What can't be read would be wrong totals: look at it.
                metrics.EVENTS.labels(topic=topics.PARTIALS.name, outcome="refused").inc()
                log.error("partial refused", offset=event.message.offset, code=bad.code, reason=str(bad))  # noqa: TRY400
            self._unacknowledged.append(event)
            if len(self._unacknowledged) >= PENDING_EVENTS_MAX:
                await self._flush()

    def _take(self, raw_key: bytes, value: bytes | None, partition: int) -> None:
        key = raw_key.decode()
        place = parse_partial_key(key)
        if place is None:
            if value is not None:
                self._void(_read_swept(value), partition)
            return
        org_id, territory_id, period, user_id, source = place
        partial = _read_partial(value) if value is not None else None
        before = self._parts((org_id, territory_id, period, user_id))
        self._put((org_id, territory_id, period, user_id), with_part(before, source, partial))

    def _void(self, swept: SourceSwept, partition: int) -> None:
        """Drop from this partition's totals what a source said under models that are gone."""
        prefix = f"{swept.org_id}/".encode()
        for key in [key for key in self._table if key.startswith(prefix)]:
            text = key.decode()
            if partition_of(text, self._partitions) == partition:
                place = _place_of(text)
                before = self._parts(place)
                after = without_void(before, swept)
                if after != before:
                    self._put(place, after)

    def _parts(self, place: AttainmentPlace) -> dict[int, Partial]:
        raw = self._table.get(attainment_key(*place).encode())
        return {} if raw is None else _parts_of(decode(raw))

    def _put(self, place: AttainmentPlace, parts: dict[int, Partial]) -> None:
        key = attainment_key(*place).encode()
        if parts:
            self._table[key] = encode({str(source): asdict(part) for source, part in parts.items()})
        else:
            self._table.pop(key, None)
        self._pending[place] = total_of(parts)

    async def _flush(self) -> None:
        """Say what is pending, and acknowledge what it came from."""
        async with self._flushing:
            events, self._unacknowledged = self._unacknowledged, []
            pending, self._pending = self._pending, {}
            if not events:
                return
            messages = [
                Message(topics.ATTAINMENTS.name, attainment_key(*place), attainment, attainment_key(*place))
                for place, attainment in pending.items()
            ]
            try:
                await until_done(GROUP, self._health, KAFKA_AWAY, lambda: self._sender.send(messages))
                await until_done(GROUP, self._health, REDIS_AWAY, lambda: write_attainments(self._redis, pending))
            except (KafkaError, redis.exceptions.RedisError) as fault:
                # Faust would acknowledge what failed: better none of it.
                stop_at_once(f"attainments can't be written: {type(fault).__name__}: {fault}")
            for event in events:
                event.ack()
            metrics.EVENTS.labels(topic=topics.PARTIALS.name, outcome="taken").inc(len(events))


def _place_of(key: str) -> AttainmentPlace:
    org_id, territory_id, period, *user = key.split("/", 3)
    return org_id, territory_id, period, user[0] if user else None
