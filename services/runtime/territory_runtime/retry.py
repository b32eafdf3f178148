"""Waiting for the broker or Redis to come back: with backoff, one log line, /ready false."""

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
"""What takes longer is told like an error: clients try again by themselves, the producer for ever."""

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
"""Beginnings of other refusals that end, or that an operator ends: no room on its disk, too few replicas, a script
that takes long, a user who may not do what a script does, a slot that has moved or that nobody has for the moment."""

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
"""What says that a partition has to be taken over anew, if it is this worker's at all."""

log = structlog.get_logger("territory")


class GivenUp(Exception):
    """Raised when what is away is not waited for any more: the process is stopping. Its successor repeats the turn."""


async def retry_while_unavailable(
    part: str,
    health: Health,
    away: tuple[type[BaseException], ...],
    action: Callable[[], Awaitable[Result]],
    stopping: Callable[[], bool] = lambda: False,
    *,
    what: str = "Kafka",
    answer_seconds: float | None = ANSWER_SECONDS_MAX,
) -> Result:
    """Return what an action gives, trying again for as long as something outside is away.

    An attempt without an answer for `answer_seconds` is told like one that failed, and goes on;
    None: it may take long. The action must be harmless to repeat. Raises: any other error; and
    GivenUp when the process is stopping.
    """
    seconds = BACKOFF_SECONDS_MIN
    trouble = _Trouble(part, health, what)
    caught: tuple[type[BaseException], ...] = (*away, redis.exceptions.ResponseError)
    while True:
        trouble.expect_an_answer(answer_seconds)
        try:
            result = await action()
        except caught as fault:
            if not isinstance(fault, away) and not str(fault).startswith(REDIS_FOR_A_TIME):
                raise
            trouble.tell(f"{type(fault).__name__}: {fault}")
            if stopping():
                raise GivenUp(f"{part} leaves to its successor what it could not do: {what} is away") from fault
        else:
            trouble.end()
            return result
        finally:
            trouble.expect_an_answer(None)
        await asyncio.sleep(seconds)
        seconds = min(2 * seconds, BACKOFF_SECONDS_MAX)


class _Trouble:
    """What is told of something that is away: one line, a count of attempts, the reason on /ready."""

    def __init__(self, part: str, health: Health, what: str) -> None:
        self._part = part
        self._health = health
        self._what = what
        self._timer: asyncio.TimerHandle | None = None
        self._is_told = False

    def expect_an_answer(self, seconds: float | None) -> None:
        """Tell when there was none for so many seconds, again and again; None: there was one, or it may take long."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._unanswered, seconds)

    def _unanswered(self, seconds: float) -> None:
        self.tell(f"no answer within {seconds:g} s")
        self.expect_an_answer(seconds)

    def tell(self, fault: str) -> None:
        """Say why it does not go on; the part is alive, and not ready."""
        metrics.WAITING.labels(part=self._part, away=self._what).inc()
        self._health.hinder(self._part, f"{self._what} is away: {fault}", cause=self._what)
        self._health.beat(self._part)
        if not self._is_told:
            log.warning("waiting", part=self._part, away=self._what, fault=fault)
            self._is_told = True

    def end(self) -> None:
        """Say that it goes on, if it was said that it does not."""
        if self._is_told:
            self._health.clear(self._part, cause=self._what)
            log.info("recovered", part=self._part)
