"""Lists the deals that count for something else than when their period was closed (F12)."""

from __future__ import annotations

from territory_admin.queries.attainment import checked_model
from territory_admin.queries.redis_reader import AdjustedDeal, open_index
from territory_runtime.settings import Settings


async def adjustments(settings: Settings, territory_id: str | None, period: str | None) -> list[AdjustedDeal]:
    """Return the adjusted deals by period and id.

    Args:
        settings: The servers and the organisation.
        territory_id: Only deals of this territory and below it; None for all.
        period: Only this closed period; None for all.

    Raises: NotFound for an unknown territory; Refused for a text that is not a period; RedisError, KafkaError.
    """
    await checked_model(settings, territory_id, period)
    async with open_index(settings) as index:
        return await index.adjustments(territory_id=territory_id, period=period)
