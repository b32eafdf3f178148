"""The Redis commands of each question and the meaning of their replies, as data; no I/O.

Both clients send a question's commands in one round trip and pass the replies to its `read`. So both mean the same,
and neither builds keys. Replies may be bytes or text, depending on `decode_responses` of the redis-py client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar, get_args

from territory.wire.keys import admins_key, editable_key, index_key, record_hash_key, visible_key
from territory_client.answers import Explanation, Freshness, IndexedRecord, Level, ObjectType, Page, PartitionFreshness
from territory_client.errors import IndexBehind

AnswerT = TypeVar("AnswerT")

PAGE_RECORDS: Final = 1_000
RECORD_FIELDS: Final = ("version", "owner_id", "territories", "model_revision")
_SET_KEYS: Final = {"read": visible_key, "edit": editable_key}
_OBJECTS: Final = frozenset(get_args(ObjectType))
_STAGE: Final = "access-indexer"
"""The stage that writes the sets. The index hash also holds the progress of other stages."""
_OFFSET_FIELD: Final = re.compile(rf"{_STAGE}:(\d+):offset")
_ORG_ID: Final = re.compile(r"[^\s/:{}\x00-\x1f\x7f]{1,255}")


class Question(NamedTuple, Generic[AnswerT]):
    """Commands to send together, and a function that reads their replies."""

    commands: tuple[tuple[str | int, ...], ...]
    read: Callable[[Sequence[Any]], AnswerT]


class Questions:
    """One organisation's questions. Every method raises ValueError for an unknown object or level."""

    def __init__(self, org_id: str) -> None:
        """Raises: ValueError if the id is not a valid organisation id."""
        # An id with a brace or colon could address another organisation's keys.
        if not _ORG_ID.fullmatch(org_id):
            raise ValueError(
                f"found {org_id!r}, expected an organisation's id, without white space, '/', ':' or braces"
            )
        self._org_id = org_id
        self._admins = admins_key(org_id)

    def may(self, level: Level, user_id: str, object_type: ObjectType, record_id: str) -> Question[bool]:
        """Ask whether a user has a level on a record (V1, V3)."""
        key = self._set(level, user_id, object_type)
        return Question((("SISMEMBER", key, record_id), ("SISMEMBER", self._admins, user_id)), any)

    def as_new_as(self, object_type: ObjectType, record_id: str, at_least: int) -> Question[None]:
        """Ask whether the index has a version of a record or a later one (V8). `read` raises IndexBehind if not.

        The indexer writes the sets before the version. So sets that are read after the version are as new.
        """
        key = self._record(object_type, record_id)

        def read(replies: Sequence[Any]) -> None:
            found = None if replies[0] is None else int(replies[0])
            if found is None or found < at_least:
                raise IndexBehind(key, at_least, found)

        return Question((("HGET", key, "version"),), read)

    def filtered(
        self, level: Level, user_id: str, object_type: ObjectType, record_ids: Sequence[str]
    ) -> Question[list[str]]:
        """Ask on which of some records a user has a level; no records, no commands."""
        key = self._set(level, user_id, object_type)
        if not record_ids:
            return Question((), lambda _: [])

        def read(replies: Sequence[Any]) -> list[str]:
            members, is_admin = replies
            return [one for one, is_member in zip(record_ids, members, strict=True) if is_member or is_admin]

        return Question((("SMISMEMBER", key, *record_ids), ("SISMEMBER", self._admins, user_id)), read)

    def page(self, level: Level, user_id: str, object_type: ObjectType, cursor: int, count: int) -> Question[Page]:
        """Ask for a page of about `count` records on which a user has a level."""
        key = self._set(level, user_id, object_type)

        def read(replies: Sequence[Any]) -> Page:
            (next_cursor, ids), is_admin = replies
            if is_admin:
                return Page((), None, everything=True)
            texts = tuple(map(_text, ids)) if ids and isinstance(ids[0], bytes) else tuple(ids)
            return Page(texts, int(next_cursor) or None)

        return Question((("SSCAN", key, cursor, "COUNT", count), ("SISMEMBER", self._admins, user_id)), read)

    def size(self, level: Level, user_id: str, object_type: ObjectType) -> Question[int | None]:
        """Ask on how many records a user has a level; the answer None means all."""
        key = self._set(level, user_id, object_type)
        return Question(
            (("SCARD", key), ("SISMEMBER", self._admins, user_id)),
            lambda replies: None if replies[1] else int(replies[0]),
        )

    def viewers(
        self, level: Level, object_type: ObjectType, record_id: str, among: Sequence[str]
    ) -> Question[list[str]]:
        """Ask which of some users have a level on a record."""
        keys = [self._set(level, user_id, object_type) for user_id in among]
        if not among:
            return Question((), lambda _: [])

        def read(replies: Sequence[Any]) -> list[str]:
            admins, *members = replies
            found = zip(among, members, admins, strict=True)
            return [user_id for user_id, is_member, is_admin in found if is_member or is_admin]

        members = (("SISMEMBER", key, record_id) for key in keys)
        return Question((("SMISMEMBER", self._admins, *among), *members), read)

    def explained(self, user_id: str, object_type: ObjectType, record_id: str) -> Question[Explanation]:
        """Ask for everything in Redis about a user and a record."""

        def read(replies: Sequence[Any]) -> Explanation:
            visible, editable, is_admin, fields = replies
            level: Level | None = "edit" if editable or is_admin else "read" if visible else None
            record = record_of(fields)
            is_owner = record is not None and record.owner_id == user_id
            return Explanation(level, bool(is_admin), is_owner, record)

        return Question(
            (
                ("SISMEMBER", self._set("read", user_id, object_type), record_id),
                ("SISMEMBER", self._set("edit", user_id, object_type), record_id),
                ("SISMEMBER", self._admins, user_id),
                ("HMGET", self._record(object_type, record_id), *RECORD_FIELDS),
            ),
            read,
        )

    def freshness(self) -> Question[Freshness]:
        """Ask for the progress of the index (V8)."""
        return Question((("HGETALL", index_key(self._org_id)),), lambda replies: _freshness_of(replies[0]))

    def _set(self, level: Level, user_id: str, object_type: ObjectType) -> str:
        key_of = _SET_KEYS.get(level)
        if key_of is None or object_type not in _OBJECTS:
            raise _unknown_name(object_type, level)
        return key_of(self._org_id, user_id, object_type)

    def _record(self, object_type: ObjectType, record_id: str) -> str:
        if object_type not in _OBJECTS:
            raise _unknown_name(object_type, "read")
        return record_hash_key(self._org_id, object_type, record_id)


def _unknown_name(object_type: str, level: str) -> ValueError:
    # An unknown object would read a set that is never written, and nobody would see anything.
    found, expected = (object_type, sorted(_OBJECTS)) if level in _SET_KEYS else (level, list(_SET_KEYS))
    return ValueError(f"found {found!r}, expected one of {', '.join(expected)}")


def record_of(fields: Sequence[Any]) -> IndexedRecord | None:
    """Read a record from the `RECORD_FIELDS` of its hash; None: it is not in the index."""
    version, owner_id, territories, model_revision = fields
    if version is None:
        return None
    return IndexedRecord(int(version), _text(owner_id) or None, tuple(json.loads(territories)), int(model_revision))


def _freshness_of(reply: Any) -> Freshness:
    pairs = reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    fields = {_text(name): value for name, value in pairs}

    def number(name: str) -> int | None:
        return int(fields[name]) if name in fields else None

    partitions = sorted(int(found[1]) for name in fields if (found := _OFFSET_FIELD.fullmatch(name)))
    return Freshness(
        number("model_revision"),
        {
            one: PartitionFreshness(int(fields[f"{_STAGE}:{one}:offset"]), number(f"{_STAGE}:{one}:model_revision"))
            for one in partitions
        },
    )


def _text(reply: Any) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)
