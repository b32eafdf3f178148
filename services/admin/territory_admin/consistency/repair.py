"""Repairs entries of Redis that differ from what the topics imply."""

from __future__ import annotations

from territory_admin.consistency.comparing import OnCompared, Verified, compare_stores
from territory_runtime.settings import Settings


async def repair(settings: Settings, *, per_second: float, timeout_seconds: float, report: OnCompared) -> Verified:
    """Compare Redis with the topics as `verify` does, and write what the topics imply where Redis differs.

    Within a partition all removals are written before the first addition (V8).

    Args:
        settings: The servers and the organisation.
        per_second: The most records, or members of sets, to compare per second; 0 is no limit.
        timeout_seconds: How long to wait, each time, until a stage has committed what was read.
        report: Called with how many entries were compared.

    Raises: NotFound, ModelRefused, KafkaError, RedisError.
    """
    return await compare_stores(
        settings, repair=True, per_second=per_second, timeout_seconds=timeout_seconds, report=report
    )
