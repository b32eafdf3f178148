"""The questions that the command line answers, each from Redis, the log and the active model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from access_indexer.core.viewers import Path, paths_of
from territory.model.compiled import Model
from territory.model.document import Level, ObjectType
from territory.wire.events import Assignment, Link
from territory_admin.arguments import OBJECTS, RecordName, check_period, check_territory, check_user
from territory_admin.errors import NotFound
from territory_admin.log.record_reader import family_of, last_assignment
from territory_admin.log.topic_reader import existing_partitions
from territory_admin.models.topic import active_model
from territory_admin.queries.explanations import Explainer, Near, Reason, Viewer, viewers_of
from territory_admin.queries.redis_reader import AdjustedDeal, AttainmentRow, Index, Membership, index
from territory_client import IndexedRecord
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """Where a record stands: as the index has it, and why, as its last assignment says."""

    record: str
    org_id: str
    version: int
    model_revision: int
    owner_id: str | None
    territories: tuple[str, ...]
    links: tuple[Link, ...]
    cut: tuple[str, ...]
    runners_up: tuple[str, ...]
    dropped: tuple[str, ...]
    unassigned: str | None
    viewers: int
    index_is_behind: bool
    """Whether the index has yet to take the last assignment."""


@dataclass(frozen=True, slots=True)
class ExplainedAssignment:
    """Why a record is in its territories, decided anew; and about one territory, if one was asked for."""

    record: str
    org_id: str
    version: int
    model_revision: int
    owner_id: str | None
    links: tuple[Reason, ...]
    cut: tuple[str, ...]
    runners_up: tuple[str, ...]
    dropped: tuple[str, ...]
    unassigned: str | None
    asked: Reason | None
    near_misses: tuple[Near, ...]
    """Of an account or a lead, and where no territory was asked for."""
    log_is_behind: bool
    """Whether the last assignment says otherwise: the change has yet to come through."""


@dataclass(frozen=True, slots=True)
class ExplainedAccess:
    """Every path by which a user sees a record, and what the index says."""

    record: str
    org_id: str
    user_id: str
    active: bool
    owner_id: str | None
    territories: tuple[str, ...]
    sees: bool
    level: Level | None
    paths: tuple[Path, ...]
    index: Membership
    index_is_behind: bool
    """Whether the sets say something else than the paths."""


@dataclass(frozen=True, slots=True)
class VisibleRecords:
    """What a user sees, by object; of an administrator, who sees everything, no list."""

    org_id: str
    user_id: str
    level: Level
    admin: bool
    records: dict[ObjectType, list[str]]


@dataclass(frozen=True, slots=True)
class RecordViewers:
    """Everybody who sees a record."""

    record: str
    org_id: str
    viewers: tuple[Viewer, ...]


async def show(settings: Settings, name: RecordName) -> ShownRecord:
    """Return where a record stands. Raises: NotFound, RedisError, KafkaError."""
    stands = await _indexed(settings, name)
    partitions = await existing_partitions(settings)
    said = await last_assignment(settings, partitions, name.key(settings.org_id))
    model = await active_model(settings, settings.org_id)
    return ShownRecord(
        record=str(name),
        org_id=settings.org_id,
        version=stands.version,
        model_revision=stands.model_revision,
        owner_id=stands.owner_id,
        territories=stands.territories,
        links=said.links if said is not None else (),
        cut=said.cut if said is not None else (),
        runners_up=said.runners_up if said is not None else (),
        dropped=said.dropped if said is not None else (),
        unassigned=said.unassigned if said is not None else None,
        viewers=len(viewers_of(model, stands.owner_id, stands.territories, said.shared if said is not None else ())),
        index_is_behind=said is None or not _is_of(stands, said),
    )


def _is_of(stands: IndexedRecord, said: Assignment) -> bool:
    return (stands.version, stands.owner_id, stands.territories) == (said.version, said.owner_id, said.territories)


async def explain_assignment(
    settings: Settings, name: RecordName, territory_id: str | None, near: int = 0
) -> ExplainedAssignment:
    """Return why a record is where it is, and why it is, or is not, in a territory (A10).

    Without a territory to ask for, with at most `near` territories that it misses by one condition.

    Raises: NotFound for an unknown record or territory; KafkaError.
    """
    key = name.key(settings.org_id)
    partitions = await existing_partitions(settings)
    model = await active_model(settings, settings.org_id)
    said = await last_assignment(settings, partitions, key)
    if said is None:
        raise NotFound(f"{name} of organisation {settings.org_id!r} has no assignment: {_WHY_NOT_THERE}")
    explainer = Explainer(model.on(model.day_of(datetime.now(UTC))), await family_of(settings, partitions, said.family))
    record = explainer.record(key)
    if record is None:
        raise NotFound(f"{name} is on its way to another account; ask again after `territory wait`")
    standing = explainer.standing(key)
    asked: Reason | None = None
    if territory_id is not None:
        if territory_id not in standing.dropped:
            check_territory(model, territory_id)
        asked = explainer.reason(key, territory_id)
    decided = (record.version, record.owner_id, standing.links)
    return ExplainedAssignment(
        record=str(name),
        org_id=settings.org_id,
        version=record.version,
        model_revision=model.revision,
        owner_id=record.owner_id,
        links=tuple(explainer.links(key)),
        cut=standing.cut,
        runners_up=standing.runners_up,
        dropped=standing.dropped,
        unassigned=standing.unassigned,
        asked=asked,
        near_misses=tuple(explainer.near_misses(key, near)) if territory_id is None else (),
        log_is_behind=decided != (said.version, said.owner_id, said.links),
    )


async def explain_access(settings: Settings, user_id: str, name: RecordName) -> ExplainedAccess:
    """Return every path by which a user sees a record (V9). Raises: NotFound, RedisError, KafkaError."""
    stands = await _indexed(settings, name)
    model = await active_model(settings, settings.org_id)
    check_user(model, user_id)
    async with index(settings) as stored:
        membership = await stored.membership(user_id, name)
    shared = await _marks(settings, model, name)
    paths = paths_of(model, user_id, stands.owner_id, stands.territories, shared)
    level = _highest(paths)
    admin = user_id in model.admins
    due = Membership(visible=bool(paths) and not admin, editable=level == "edit" and not admin, admin=admin)
    return ExplainedAccess(
        record=str(name),
        org_id=settings.org_id,
        user_id=user_id,
        active=model.people[user_id].active,
        owner_id=stands.owner_id,
        territories=stands.territories,
        sees=bool(paths),
        level=level,
        paths=tuple(paths),
        index=membership,
        index_is_behind=membership != due,
    )


def _highest(paths: list[Path]) -> Level | None:
    if not paths:
        return None
    return "edit" if any(path.level == "edit" for path in paths) else "read"


async def visible(settings: Settings, user_id: str, objects: tuple[ObjectType, ...], level: Level) -> VisibleRecords:
    """Return the records of some objects that a user may read, or may edit.

    Raises: NotFound for an unknown user; RedisError, KafkaError.
    """
    async with index(settings) as stored:
        admin = user_id in await stored.admins()
        records = {} if admin else {kind: await stored.ids(user_id, kind, level) for kind in objects}
        if not admin and not any(records.values()) and not await _sees_anything(stored, user_id):
            check_user(await active_model(settings, settings.org_id), user_id)
    return VisibleRecords(settings.org_id, user_id, level, admin, records)


async def _sees_anything(stored: Index, user_id: str) -> bool:
    for kind in OBJECTS:
        if await stored.count(user_id, kind, "read"):
            return True
    return False


async def viewers(settings: Settings, name: RecordName) -> RecordViewers:
    """Return everybody who sees a record, and by which paths (V9). Raises: NotFound, RedisError, KafkaError."""
    stands = await _indexed(settings, name)
    model = await active_model(settings, settings.org_id)
    shared = await _marks(settings, model, name)
    found = viewers_of(model, stands.owner_id, stands.territories, shared)
    return RecordViewers(str(name), settings.org_id, tuple(found))


async def _marks(settings: Settings, model: Model, name: RecordName) -> tuple[str, ...]:
    """Return the marks of sharing rules that were said last of a record: the log has them, the index has not.

    Where no rule asks for records of its object the log is not read.
    """
    if not any(rule.object == name.object for rule in model.sharing.values()):
        return ()
    said = await last_assignment(settings, await existing_partitions(settings), name.key(settings.org_id))
    return () if said is None else said.shared


async def attainment(
    settings: Settings, territory_id: str | None, period: str | None, *, users: bool
) -> tuple[Model, list[AttainmentRow]]:
    """Return the model and how its territories stand: all, or one, in all periods or in one.

    Raises: NotFound for an unknown territory; Refused for what is no period; RedisError, KafkaError.
    """
    model = await _model_with(settings, territory_id, period)
    async with index(settings) as stored:
        return model, await stored.attainments(territory_id=territory_id, period=period, users=users)


async def adjustments(settings: Settings, territory_id: str | None, period: str | None) -> list[AdjustedDeal]:
    """Return the deals that count for something else than when their period was closed (F12).

    All, or those of one territory and below; in all closed periods, or in one.

    Raises: NotFound for an unknown territory; Refused for what is no period; RedisError, KafkaError.
    """
    await _model_with(settings, territory_id, period)
    async with index(settings) as stored:
        return await stored.adjustments(territory_id=territory_id, period=period)


async def _model_with(settings: Settings, territory_id: str | None, period: str | None) -> Model:
    model = await active_model(settings, settings.org_id)
    if territory_id is not None:
        check_territory(model, territory_id)
    if period is not None:
        check_period(model, period)
    return model


_WHY_NOT_THERE = "it was never published, or was deleted, or has yet to come through (territory wait)"


async def _indexed(settings: Settings, name: RecordName) -> IndexedRecord:
    async with index(settings) as stored:
        stands = await stored.record(name)
    if stands is None:
        raise NotFound(f"{name} of organisation {settings.org_id!r} is not in the index: {_WHY_NOT_THERE}")
    return stands
