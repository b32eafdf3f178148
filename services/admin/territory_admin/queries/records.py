"""Lists records by territory, by owner, without a territory, or left out of the forecast sums; page by page."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from territory.model.compiled import Model
from territory.model.document import OBJECTS, ObjectType
from territory.wire.events import Assignment, read_assignment
from territory.wire.topics import ASSIGNMENTS
from territory_admin.arguments import RecordName, check_owner, check_territory
from territory_admin.log.kafka_session import KafkaSession, kafka_session
from territory_admin.log.organisation_reader import OnRead, OrganisationReader
from territory_admin.log.topic_reader import partitions_of
from territory_admin.models.topic import read_active_model
from territory_admin.queries.redis_reader import open_index
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """One record of a list."""

    object: ObjectType
    id: str
    owner_id: str | None
    owner: str | None
    """The owner's name; None if the record has none, or one whom the model lacks."""
    territories: tuple[str, ...]
    reason: str | None
    """Why it has no territory, or is in no sum, where that is known."""


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One page of a list, by object and id."""

    org_id: str
    records: tuple[ListedRecord, ...]
    total: int
    """The records on all pages."""
    next: str | None
    """What to give as `after` for the next page; None on the last."""


@dataclass(frozen=True, slots=True)
class ListPart:
    """The part of a list to return."""

    after: RecordName | None = None
    """The last record of the page before; it need not exist any more."""
    limit: int | None = None
    """The most records; None for all."""


WHOLE = ListPart()


async def records_of_territory(
    settings: Settings, territory_id: str, *, own: bool, objects: Collection[ObjectType], page: ListPart, report: OnRead
) -> RecordPage:
    """Return the records that are in a territory or below it.

    All assignments are read. Memory: the records of the list.

    Args:
        settings: The brokers and the organisation.
        territory_id: The territory.
        own: Whether to leave out what is only in a territory below.
        objects: The object types to list.
        page: The part to return.
        report: Called with how many messages were read, and how many there are.

    Raises: NotFound for an unknown territory, or without a model; KafkaError.
    """
    async with kafka_session(settings) as kafka:
        model = await read_active_model(kafka, settings.org_id)
        check_territory(model, territory_id)
        wanted = {territory_id} if own else set(model.tree.with_below(territory_id))
        found = await _assigned(kafka, model, objects, lambda each: not wanted.isdisjoint(each.territories), report)
    return page_of(settings.org_id, found, page)


async def records_of_owner(
    settings: Settings, owner_id: str, *, objects: Collection[ObjectType], page: ListPart, report: OnRead
) -> RecordPage:
    """Return the records that a user or a group owns, also a user who has left the model.

    Arguments and cost: as `records_of_territory`.

    Raises: NotFound for an owner whom neither the model nor a record has, or without a model; KafkaError.
    """
    async with kafka_session(settings) as kafka:
        model = await read_active_model(kafka, settings.org_id)
        found = await _assigned(kafka, model, objects, lambda each: each.owner_id == owner_id, report)
    if not found:
        check_owner(model, owner_id)
    return page_of(settings.org_id, found, page)


async def unassigned_records(
    settings: Settings, *, objects: Collection[ObjectType], page: ListPart, report: OnRead
) -> RecordPage:
    """Return the records that are in no territory. Arguments, cost and errors: as `records_of_territory`."""
    async with kafka_session(settings) as kafka:
        model = await read_active_model(kafka, settings.org_id)
        found = await _assigned(kafka, model, objects, lambda each: not each.links, report)
    return page_of(settings.org_id, found, page)


async def left_out_records(settings: Settings, page: ListPart) -> RecordPage:
    """Return the deals that are in no forecast sum, with the reason of each (F2, F10).

    They come from Redis; of Kafka, only the model is read.

    Raises: NotFound without a model; RedisError, KafkaError.
    """
    async with kafka_session(settings) as kafka:
        model = await read_active_model(kafka, settings.org_id)
    async with open_index(settings) as index:
        deals = {deal.id: deal for deal in await index.left_out()}
        names = page_of(settings.org_id, [ListedRecord("deal", each, None, None, (), None) for each in deals], page)
        states = await index.records("deal", [each.id for each in names.records])
    found = []
    for each in names.records:
        state, deal = states.get(each.id), deals[each.id]
        owner_id = state.owner_id if state is not None else None
        reason = f"{deal.reason}: {deal.detail}" if deal.detail else deal.reason
        territories = state.territories if state is not None else ()
        found.append(ListedRecord("deal", each.id, owner_id, name_of(model, owner_id), territories, reason))
    return RecordPage(settings.org_id, tuple(found), names.total, names.next)


async def _assigned(
    kafka: KafkaSession,
    model: Model,
    objects: Collection[ObjectType],
    wants: Callable[[Assignment], bool],
    report: OnRead,
) -> list[ListedRecord]:
    """Return the records whose last assignment is wanted."""
    found: dict[str, ListedRecord] = {}

    def take(key: str, assignment: Assignment | None) -> None:
        if assignment is None or assignment.object not in objects or not wants(assignment):
            found.pop(key, None)  # an earlier assignment may have been wanted
        else:
            found[key] = listed(model, assignment)

    partitions = partitions_of(ASSIGNMENTS, await kafka.existing_partitions())
    reader = OrganisationReader(await kafka.consumer(), model.org_id, report)
    await reader.mark(partitions)
    for where in partitions:
        await reader.read(where, read_assignment, take)
    return list(found.values())


def listed(model: Model, assignment: Assignment) -> ListedRecord:
    """Return an assignment as an entry of a list."""
    owner_id = assignment.owner_id
    return ListedRecord(
        assignment.object,
        assignment.id,
        owner_id,
        name_of(model, owner_id),
        assignment.territories,
        assignment.unassigned,
    )


def name_of(model: Model, owner_id: str | None) -> str | None:
    """Return the name of a user or a group; None if the model has neither."""
    if owner_id is None:
        return None
    owner = model.people.get(owner_id) or model.groups.get(owner_id)
    return None if owner is None else owner.name


def page_of(org_id: str, records: Collection[ListedRecord], page: ListPart) -> RecordPage:
    """Return one page of a list, ordered by object and id."""
    ordered = sorted(records, key=lambda each: _place(each.object, each.id))
    rest = ordered
    if page.after is not None:
        last = _place(page.after.object, page.after.id)
        rest = [each for each in ordered if _place(each.object, each.id) > last]
    shown = rest if page.limit is None else rest[: page.limit]
    is_last = len(shown) == len(rest)
    return RecordPage(
        org_id, tuple(shown), len(ordered), None if is_last or not shown else f"{shown[-1].object}/{shown[-1].id}"
    )


def _place(kind: ObjectType, record_id: str) -> tuple[int, str]:
    return OBJECTS.index(kind), record_id
