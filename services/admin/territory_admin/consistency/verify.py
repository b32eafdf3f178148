"""Verifies that Redis holds what the topics imply."""

from __future__ import annotations

from territory_admin.consistency.comparing import OnCompared, Verified, compare_stores
from territory_runtime.settings import Settings


async def verify(settings: Settings, *, per_second: float, timeout_seconds: float, report: OnCompared) -> Verified:
    """Compare Redis with the topics for the settings' organisation; nothing is written.

    Memory: the records of one partition, or of as many partitions as have `RECORDS_IN_MEMORY` together.

    Args:
        settings: The servers and the organisation.
        per_second: The most records, or members of sets, to compare per second; 0 is no limit.
        timeout_seconds: How long to wait, each time, until a stage has committed what was read.
        report: Called with how many entries were compared.

    Raises: NotFound, ModelRefused, KafkaError, RedisError.
    """
    return await compare_stores(
        settings, repair=False, per_second=per_second, timeout_seconds=timeout_seconds, report=report
    )
