"""Repeats actions while Kafka or Redis is unavailable: with backoff, one log line, and /ready false."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis.exceptions
import structlog
from aiokafka import errors as kafka_errors

from territory_runtime import metrics
from territory_runtime.health import Health
from territory_runtime.kafka.lease import LeaseEnded
from territory_runtime.redis.fencing import Fenced, SinkPaused, SinkRolledBack
from territory_runtime.redis.nodes import NodeWithoutTag

Result = TypeVar("Result")

BACKOFF_SECONDS_MIN = 0.2
BACKOFF_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 10.0
"""An attempt that takes longer is reported like a failed one: clients retry by themselves, the producer for ever."""

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
    kafka_errors.KafkaStorageError,
    kafka_errors.MessageSizeTooLargeError,  # a topic that was created with a lower limit than ours
    kafka_errors.RecordListTooLargeError,
    kafka_errors.OutOfOrderSequenceNumber,  # after a batch that was refused: the next producer counts anew
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
    redis.exceptions.AskError,  # or MovedError: slots have moved, the next attempt knows where to
    redis.exceptions.RedisClusterException,  # no node answers, or not all slots have one
    NodeWithoutTag,
    redis.exceptions.NoPermissionError,
    SinkPaused,
)

REDIS_FOR_A_TIME = ("MISCONF", "NOREPLICAS", "MASTERDOWN", "NOAUTH", "WRONGPASS", "BUSY", "The user executing",
    "Script attempted to access a ")  # fmt: skip
"""Prefixes of other Redis errors that pass, or that an operator ends: a full disk, too few replicas, a slow script,
a user without the rights that a script needs, a cluster slot that is moving."""

LOST_PARTITION = (
    kafka_errors.CommitFailedError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.IllegalStateError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.UnknownMemberIdError,
    Fenced,
    LeaseEnded,
    SinkRolledBack,
)
"""After these a partition has to be restored anew, if it is this worker's at all."""

log = structlog.get_logger("territory")


class GivenUp(Exception):
    """Raised when the process is stopping while something is away. The successor repeats the batch."""


async def retry_while_unavailable(
    part: str,
    health: Health,
    away: tuple[type[BaseException], ...],
    action: Callable[[], Awaitable[Result]],
    stopping: Callable[[], bool] = lambda: False,
    *,
    what: str = "Kafka",
    answer_seconds: float | None = ANSWER_SECONDS_MAX,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Result:
    """Return the action's result; repeat it for as long as something outside is away.

    Args:
        part: The component that waits, for logs and /ready.
        health: Where that is reported.
        away: The exceptions that mean that something is unavailable.
        action: Harmless to repeat.
        stopping: Whether the process is about to stop.
        what: The name of what may be away.
        answer_seconds: An attempt that takes longer is reported like a failed one, and goes on; None: it may take long.
        sleep: Waits between two attempts.

    Raises: any other error; GivenUp when the process is stopping.
    """
    seconds = BACKOFF_SECONDS_MIN
    outage = _Outage(part, health, what)
    caught: tuple[type[BaseException], ...] = (*away, redis.exceptions.ResponseError)
    while True:
        outage.expect_answer_within(answer_seconds)
        try:
            result = await action()
        except caught as fault:
            if not isinstance(fault, away) and not str(fault).startswith(REDIS_FOR_A_TIME):
                raise
            outage.report(f"{type(fault).__name__}: {fault}")
            if stopping():
                raise GivenUp(f"{part} leaves the rest to its successor: {what} is away") from fault
        else:
            outage.end()
            return result
        finally:
            outage.expect_answer_within(None)
        await sleep(seconds)
        seconds = min(2 * seconds, BACKOFF_SECONDS_MAX)


class _Outage:
    """Reports that something is away: one log line, a count of attempts, the reason on /ready."""

    def __init__(self, part: str, health: Health, what: str) -> None:
        self._part = part
        self._health = health
        self._what = what
        self._timer: asyncio.TimerHandle | None = None
        self._is_reported = False

    def expect_answer_within(self, seconds: float | None) -> None:
        """Report when there was no answer for so many seconds, again and again; None: stop doing so."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._unanswered, seconds)

    def _unanswered(self, seconds: float) -> None:
        self.report(f"no answer within {seconds:g} s")
        self.expect_answer_within(seconds)

    def report(self, fault: str) -> None:
        """Report a failed attempt; the component is alive, and not ready."""
        metrics.WAITING.labels(part=self._part, away=self._what).inc()
        self._health.hinder(self._part, f"{self._what} is away: {fault}", cause=self._what)
        self._health.beat(self._part)
        if not self._is_reported:
            log.warning("waiting", part=self._part, away=self._what, fault=fault)
            self._is_reported = True

    def end(self) -> None:
        """Report the recovery, if an outage was reported."""
        if self._is_reported:
            self._health.clear(self._part, cause=self._what)
            log.info("recovered", part=self._part)
