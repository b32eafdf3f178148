"""Lists the records that a user sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from territory.model.document import OBJECTS
from territory_admin.arguments import check_user
from territory_admin.queries.redis_reader import OrganisationIndex, open_index

if TYPE_CHECKING:
    from territory.model.document import Level, ObjectType
    from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class VisibleRecords:
    """The records that a user sees, by object; an administrator sees all, which are not listed."""

    org_id: str
    user_id: str
    level: Level
    admin: bool
    records: dict[ObjectType, list[str]]


async def visible(settings: Settings, user_id: str, objects: tuple[ObjectType, ...], level: Level) -> VisibleRecords:
    """Return the records of some objects that a user may read, or may edit.

    Kafka is read only for a user who sees nothing, to find out whether the user exists.

    Args:
        settings: The servers and the organisation.
        user_id: The user.
        objects: The object types to list.
        level: `read`, or `edit` for the records that the user may edit.

    Raises: NotFound for an unknown user; RedisError, KafkaError.
    """
    async with open_index(settings) as index:
        admin = user_id in await index.admins()
        records = {} if admin else {kind: await index.ids(user_id, kind, level) for kind in objects}
        if not admin and not any(records.values()) and not await _sees_anything(index, user_id):
            await _check_user(settings, user_id)
    return VisibleRecords(settings.org_id, user_id, level, admin, records)


async def _sees_anything(index: OrganisationIndex, user_id: str) -> bool:
    for kind in OBJECTS:
        if await index.count(user_id, kind, "read"):
            return True
    return False


async def _check_user(settings: Settings, user_id: str) -> None:
    """Raises: NotFound for a user whom the active model lacks; KafkaError."""
    from territory_admin.models.topic import active_model  # noqa: PLC0415 -- most users see something

    check_user(await active_model(settings, settings.org_id), user_id)
