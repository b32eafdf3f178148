"""Waiting for the broker or Redis to come back: with backoff, one log line, /ready false."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis.exceptions
import structlog
from aiokafka import errors as kafka_errors

from territory_runtime import metrics
from territory_runtime.fencing import Fenced, LeaseEnded, Rewound, StoreHeld
from territory_runtime.health import Health

Result = TypeVar("Result")

BACKOFF_SECONDS_MIN = 0.2
BACKOFF_SECONDS_MAX = 5.0

KAFKA_AWAY = (
    kafka_errors.KafkaConnectionError,
    kafka_errors.KafkaTimeoutError,
    kafka_errors.RequestTimedOutError,
    kafka_errors.NodeNotReadyError,
    kafka_errors.NotLeaderForPartitionError,
    kafka_errors.LeaderNotAvailableError,
    kafka_errors.UnknownTopicOrPartitionError,
    kafka_errors.GroupCoordinatorNotAvailableError,
    kafka_errors.NotCoordinatorForGroupError,
    kafka_errors.GroupLoadInProgressError,
    kafka_errors.NotEnoughReplicasError,
    kafka_errors.NotEnoughReplicasAfterAppendError,
    ConnectionError,
    TimeoutError,
)
REDIS_AWAY = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
    StoreHeld,
)

LOST_PARTITION = (
    kafka_errors.CommitFailedError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.IllegalStateError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.UnknownMemberIdError,
    Fenced,
    LeaseEnded,
    Rewound,
)
"""What says that a partition has to be taken over anew, if it is this worker's at all."""

log = structlog.get_logger("territory")


async def until_done(
    part: str,
    health: Health,
    away: tuple[type[BaseException], ...],
    action: Callable[[], Awaitable[Result]],
    stopping: Callable[[], bool] = lambda: False,
    *,
    what: str = "Kafka",
) -> Result:
    """Return what an action gives, trying again for as long as something outside is away.

    The action must be harmless to repeat. Raises: any other error; and the error of the last
    attempt when the process is stopping.
    """
    seconds = BACKOFF_SECONDS_MIN
    hindered = False
    while True:
        try:
            result = await action()
        except away as fault:
            metrics.WAITING.labels(part=part, away=what).inc()
            health.hinder(part, f"{what} is away: {type(fault).__name__}: {fault}")
            health.beat(part)
            if not hindered:
                log.warning("waiting", part=part, away=what, fault=f"{type(fault).__name__}: {fault}")
                hindered = True
            if stopping():
                raise
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, BACKOFF_SECONDS_MAX)
        else:
            if hindered:
                health.clear(part)
                log.info("going on", part=part)
            return result
