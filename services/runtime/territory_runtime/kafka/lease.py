"""A lease on this worker's partitions: how long no other worker can have been given them.

A consumer group gives a silent member's partitions to others once its session is over. A worker
that is suspended for longer than that wakes up unaware of it, in the middle of a batch. Each
commit that the group accepts renews the lease for one session, counted from before the commit was
sent. The producer sends nothing after the lease has ended. See docs/adr/0010.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from territory_runtime.kafka.aiokafka_internals import before_each_produce


def seconds_including_suspension() -> float:
    """Return the seconds of a clock that also runs while the host or its virtual machine is suspended.

    That is Linux's CLOCK_BOOTTIME; CLOCK_MONOTONIC stops meanwhile. Where there is no such
    clock (macOS, Windows), it is the monotonic one, and a lease does not see a suspension.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class LeaseEnded(KafkaError):  # type: ignore[misc]  # aiokafka is untyped
    """Raised instead of sending a message when the group may have given the partitions to another worker."""


class Lease:
    """Time until which the group keeps this worker's partitions for it."""

    def __init__(self, seconds: float, clock: Callable[[], float] = seconds_including_suspension) -> None:
        """Start without a lease.

        Args:
            seconds: The session timeout: how long the group keeps a silent member.
            clock: Seconds from any start; must run while the host is suspended.
        """
        self._seconds = seconds
        self._clock = clock
        self._ends_at = float("-inf")
        self._is_rebalancing = False

    def now(self) -> float:
        """Return the time to pass to `renew`; read it before asking the group."""
        return self._clock()

    def rebalance_began(self) -> None:
        """Ignore renewals: the group still accepts commits of the generation that is about to end."""
        self._is_rebalancing = True

    def rebalance_ended(self) -> None:
        """Accept renewals again: this worker belongs to the new generation."""
        self._is_rebalancing = False

    def renew(self, asked_at: float) -> None:
        """Extend the lease after the group has accepted a commit that was sent after `asked_at`."""
        if not self._is_rebalancing:
            self._ends_at = max(self._ends_at, asked_at + self._seconds)

    @property
    def is_half_gone(self) -> bool:
        """Whether to commit once more before sending, so that the lease does not end meanwhile."""
        return self._ends_at - self._clock() < self._seconds / 2

    def require(self) -> None:
        """Raises: LeaseEnded."""
        if self._clock() >= self._ends_at:
            raise LeaseEnded(
                f"the consumer group last confirmed this worker more than {self._seconds:g} s ago: "
                "its partitions may belong to another worker"
            )


def guard(producer: AIOKafkaProducer, lease: Lease) -> None:
    """Make a producer raise LeaseEnded instead of sending a batch after the lease has ended."""
    before_each_produce(producer, lease.require)
