"""Explains by which paths a user sees a record (V9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from access_indexer.core.viewers import AccessAttributes, Path, paths_of
from territory.model.compiled import Model
from territory.model.document import Level
from territory_admin.arguments import RecordName, check_user
from territory_admin.log.kafka_session import kafka_session
from territory_admin.models.topic import read_active_model
from territory_admin.queries.redis_reader import Membership, indexed_record, open_index
from territory_admin.queries.viewers import sharing_marks
from territory_runtime.settings import Settings

OwnerKind = Literal["user", "group", "unknown"]
"""An unknown owner is neither a user nor a group of the model (V1, V10)."""


@dataclass(frozen=True, slots=True)
class ExplainedAccess:
    """Every path by which a user sees a record, and what Redis answers."""

    record: str
    org_id: str
    user_id: str
    active: bool
    owner_id: str | None
    owner_kind: OwnerKind | None
    """What the owner is in the model; None if the record has no owner."""
    territories: tuple[str, ...]
    sees: bool
    level: Level | None
    paths: tuple[Path, ...]
    index: Membership
    index_is_behind: bool
    """Whether the sets in Redis differ from what the paths imply."""


async def explain_access(settings: Settings, user_id: str, name: RecordName) -> ExplainedAccess:
    """Return every path by which a user sees a record; none if the user does not see it.

    Args:
        settings: The servers and the organisation.
        user_id: The user.
        name: The record.

    Raises: NotFound for an unknown user or record; RedisError, KafkaError.
    """
    indexed = await indexed_record(settings, name)
    async with kafka_session(settings) as kafka:
        model = await read_active_model(kafka, settings.org_id)
        check_user(model, user_id)
        shared = await sharing_marks(kafka, model, name)
    async with open_index(settings) as index:
        membership = await index.membership(user_id, name)
    paths = paths_of(model, user_id, AccessAttributes(name.object, indexed.owner_id, indexed.territories, shared))
    level = _highest(paths)
    admin = user_id in model.admins
    implied = Membership(visible=bool(paths) and not admin, editable=level == "edit" and not admin, admin=admin)
    return ExplainedAccess(
        record=str(name),
        org_id=settings.org_id,
        user_id=user_id,
        active=model.people[user_id].active,
        owner_id=indexed.owner_id,
        owner_kind=_kind_of(model, indexed.owner_id),
        territories=indexed.territories,
        sees=bool(paths),
        level=level,
        paths=tuple(paths),
        index=membership,
        index_is_behind=membership != implied,
    )


def _kind_of(model: Model, owner_id: str | None) -> OwnerKind | None:
    if owner_id is None:
        return None
    return "user" if owner_id in model.people else "group" if owner_id in model.groups else "unknown"


def _highest(paths: list[Path]) -> Level | None:
    if not paths:
        return None
    return "edit" if any(path.level == "edit" for path in paths) else "read"
