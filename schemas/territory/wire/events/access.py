"""The access indexer's output for caches and search engines: who sees which records from now on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from territory.model.pieces import ObjectType
from territory.wire.codec import reader_of
from territory.wire.events.event import Event


class AccessChange(Event, frozen=True):
    """A user's access to some records of one object from now on; each record is in one of the three lists.

    Topic: territory.access-changes.v1, written by the access indexer, shortly before or after it
    writes Redis. Key: `<org>/<user>`. Events about one user and one record keep their order and
    may be repeated. Administrators see everything and get no events.
    """

    org_id: str
    user_id: str
    source: Annotated[int, Field(description="The partition of territory.assignments.v1 that holds the records.")]
    object: ObjectType
    revoked: Annotated[tuple[str, ...], Field(description="Ids of records that the user can no longer see.")] = ()
    edit: Annotated[tuple[str, ...], Field(description="Ids of records that the user may read and edit.")] = ()
    read: Annotated[tuple[str, ...], Field(description="Ids of records that the user may read only.")] = ()


class AccessForgotten(Event, frozen=True):
    """Resets a source: discard its earlier events about the organisation; what still holds is published again.

    Topic: territory.access-changes.v1, once in every partition. Key: `<org>/`. The indexer writes it
    when it can't know what it published before: Redis lost its data, or a model was applied while
    no indexer ran.
    """

    org_id: str
    source: int


_read_change, _read_reset = reader_of(AccessChange), reader_of(AccessForgotten)


def read_access_change(raw: bytes) -> AccessChange | AccessForgotten:
    """Decode either kind of event on territory.access-changes.v1.

    Raises: BadMessage (not_json, wrong_type).
    """
    event: AccessChange | AccessForgotten = _read_change(raw) if b'"user_id"' in raw else _read_reset(raw)
    return event
