"""Lists the users who see a record, and by which paths (V1, V9)."""

from __future__ import annotations

from dataclasses import dataclass

from access_indexer.core.viewers import AccessAttributes, AccessPolicy, Path, paths_of
from territory.model.compiled import Model
from territory.model.document import Level
from territory_admin.arguments import RecordName
from territory_admin.log.kafka_session import KafkaSession, kafka_session
from territory_admin.log.record_reader import last_assignment
from territory_admin.models.topic import read_active_model
from territory_admin.queries.redis_reader import indexed_record
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Viewer:
    """One user who sees a record, with every path by which."""

    user_id: str
    name: str
    level: Level
    admin: bool
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class RecordViewers:
    """All users who see a record."""

    record: str
    org_id: str
    viewers: tuple[Viewer, ...]


async def viewers(settings: Settings, name: RecordName) -> RecordViewers:
    """Return all users who see a record.

    Args:
        settings: The servers and the organisation.
        name: The record.

    Raises: NotFound for an unknown record; RedisError, KafkaError.
    """
    indexed = await indexed_record(settings, name)
    async with kafka_session(settings) as kafka:
        model = await read_active_model(kafka, settings.org_id)
        shared = await sharing_marks(kafka, model, name)
    found = viewers_of(model, AccessAttributes(name.object, indexed.owner_id, indexed.territories, shared))
    return RecordViewers(str(name), settings.org_id, tuple(found))


async def sharing_marks(kafka: KafkaSession, model: Model, name: RecordName) -> tuple[str, ...]:
    """Return the sharing marks of a record's last assignment, which Redis does not hold.

    Assignments are read only if a sharing rule of the model is about the record's object.

    Raises: NotFound before the services first ran; KafkaError.
    """
    if not any(rule.object == name.object for rule in model.sharing.values()):
        return ()
    assignment = await last_assignment(kafka, name.key(model.org_id))
    return () if assignment is None else assignment.shared


def viewers_of(model: Model, record: AccessAttributes) -> list[Viewer]:
    """Return who sees a record, by id: users whose sets hold it, and administrators."""
    seen_by = AccessPolicy(model).viewers_of(record)
    found: list[Viewer] = []
    for user_id in sorted(seen_by.readers | model.admins):
        paths = paths_of(model, user_id, record)
        admin = user_id in model.admins
        level: Level = "edit" if admin or user_id in seen_by.editors else "read"
        found.append(Viewer(user_id, model.people[user_id].name, level, admin, tuple(paths)))
    return found
