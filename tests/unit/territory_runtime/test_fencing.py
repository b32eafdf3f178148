"""Until when a worker may send."""

from __future__ import annotations

import pytest

from territory_runtime.fencing import Lease, LeaseEnded


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_lease_runs_from_when_the_group_was_asked() -> None:
    """The group counts from when the question came, which is not before it was sent (A9)."""
    clock = Clock()
    lease = Lease(10, clock)
    with pytest.raises(LeaseEnded):
        lease.require()
    asked_at = lease.now()
    clock.seconds += 4
    lease.renew(asked_at)
    clock.seconds += 5.9
    lease.require()
    clock.seconds += 0.1
    with pytest.raises(LeaseEnded, match="silent for too long"):
        lease.require()


def half_gone(lease: Lease) -> bool:
    return lease.is_half_gone


def test_a_lease_is_renewed_in_time() -> None:
    """From half of it on the group is to be asked before anything is sent; a late answer shortens nothing."""
    clock = Clock()
    lease = Lease(10, clock)
    assert half_gone(lease)
    lease.renew(lease.now())
    early = lease.now()
    clock.seconds += 5
    assert not half_gone(lease)
    clock.seconds += 0.1
    assert half_gone(lease)
    lease.renew(lease.now())
    lease.renew(early)
    clock.seconds += 4.9
    assert not half_gone(lease)
