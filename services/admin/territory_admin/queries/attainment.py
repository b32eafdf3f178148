"""Reads the attainment of territories and users against their targets."""

from __future__ import annotations

from territory.model.compiled import Model
from territory_admin.arguments import check_period, check_territory
from territory_admin.models.topic import active_model
from territory_admin.queries.redis_reader import AttainmentRow, open_index
from territory_runtime.settings import Settings


async def attainment(
    settings: Settings, territory_id: str | None, period: str | None, *, users: bool
) -> tuple[Model, list[AttainmentRow]]:
    """Return the active model and its attainments.

    Args:
        settings: The servers and the organisation.
        territory_id: Only this territory and those below it, in the order of the tree; None for all, by id.
        period: Only this period; None for all.
        users: Whether to include what each user won in a territory itself.

    Raises: NotFound for an unknown territory; Refused for a text that is not a period; RedisError, KafkaError.
    """
    model = await checked_model(settings, territory_id, period)
    if territory_id is None:
        async with open_index(settings) as index:
            return model, await index.attainments(period=period, users=users)
    places = model.tree.with_below(territory_id)
    async with open_index(settings) as index:
        rows = await index.attainments(territory_ids=places, period=period, users=users)
    order = {place: number for number, place in enumerate(places)}
    return model, sorted(rows, key=lambda row: order[row.territory_id])  # by period and user within a territory


async def checked_model(settings: Settings, territory_id: str | None, period: str | None) -> Model:
    """Return the active model, which has a territory and a period. Raises: NotFound, Refused, KafkaError."""
    model = await active_model(settings, settings.org_id)
    if territory_id is not None:
        check_territory(model, territory_id)
    if period is not None:
        check_period(model, period)
    return model
