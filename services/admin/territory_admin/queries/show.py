"""Shows the assignment of a record: its owner, its territories and why, and how many users see it."""

from __future__ import annotations

from dataclasses import dataclass

from access_indexer.core.viewers import AccessAttributes
from territory.wire.events import Assignment, Link
from territory_admin.arguments import RecordName
from territory_admin.log.kafka_session import kafka_session
from territory_admin.log.record_reader import last_assignment, whole_record
from territory_admin.models.today import of_today
from territory_admin.models.topic import read_active_model
from territory_admin.queries.redis_reader import indexed_record
from territory_admin.queries.unreadable import UnreadableValue, unreadable_in
from territory_admin.queries.viewers import viewers_of
from territory_client import IndexedRecord
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """A record's state in Redis, with the reasons from its last assignment."""

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
    """Whether the last assignment has yet to reach Redis."""
    unreadable: tuple[UnreadableValue, ...] = ()
    """The record's values that cannot be read (C6)."""


async def show(settings: Settings, name: RecordName) -> ShownRecord:
    """Return the state of a record.

    From Kafka it reads the model topic, the one partition of assignments that the record's key hashes to, and the
    one of whole records that its family's hashes to.

    Args:
        settings: The servers and the organisation.
        name: The record.

    Raises: NotFound for an unknown record; RedisError, KafkaError.
    """
    indexed = await indexed_record(settings, name)
    async with kafka_session(settings) as kafka:
        assignment = await last_assignment(kafka, name.key(settings.org_id))
        model = await read_active_model(kafka, settings.org_id)
        whole = None if assignment is None else await whole_record(kafka, assignment)
    shared = assignment.shared if assignment is not None else ()
    record = AccessAttributes(name.object, indexed.owner_id, indexed.territories, shared)
    return ShownRecord(
        record=str(name),
        org_id=settings.org_id,
        version=indexed.version,
        model_revision=indexed.model_revision,
        owner_id=indexed.owner_id,
        territories=indexed.territories,
        links=assignment.links if assignment is not None else (),
        cut=assignment.cut if assignment is not None else (),
        runners_up=assignment.runners_up if assignment is not None else (),
        dropped=assignment.dropped if assignment is not None else (),
        unassigned=assignment.unassigned if assignment is not None else None,
        viewers=len(viewers_of(model, record)),
        index_is_behind=assignment is None or not _is_of(indexed, assignment),
        unreadable=() if whole is None else tuple(unreadable_in(whole, of_today(model))),
    )


def _is_of(indexed: IndexedRecord, assignment: Assignment) -> bool:
    return (indexed.version, indexed.owner_id, indexed.territories) == (
        assignment.version,
        assignment.owner_id,
        assignment.territories,
    )
