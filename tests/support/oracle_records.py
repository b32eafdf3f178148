"""The oracle's records: replays a history of changes into records and manual links."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Record:
    """A record after its history.

    `version` 0: never seen. A version, but not alive: deleted. `by_hand` maps territories to
    `assign` or `exclude`.
    """

    org: str
    object: str
    id: str
    version: int = 0
    alive: bool = False
    owner_id: str | None = None
    account_id: str | None = None
    contact_id: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    by_hand: Mapping[str, str] = field(default_factory=dict)
    link_version: int = 0
    events: frozenset[str] = field(default=frozenset(), compare=False)
    """The events that gave the record its present version."""
    link_events: frozenset[str] = field(default=frozenset(), compare=False)
    """The same of its links."""
    early: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)
    """Patches that came before their record, in order of arrival."""

    @property
    def key(self) -> str:
        """The record's key, `<org>/<object>/<id>`."""
        return key_of(self.org, self.object, self.id)


def key_of(org: str, object_type: str, record_id: str) -> str:
    """Return a record's key, `<org>/<object>/<id>`."""
    return f"{org}/{object_type}/{record_id}"


def records_after(history: Iterable[Mapping[str, Any]]) -> dict[str, Record]:
    """Return the live records by key, after changes that are given in order of arrival."""
    known: dict[str, Record] = {}
    for change in history:
        org, object_type, record_id = change["org_id"], change["object"], _whole_text(change["id"])
        key = key_of(org, object_type, record_id)
        known[key] = record_after(known.get(key, Record(org, object_type, record_id)), change)
    return {key: record for key, record in known.items() if record.alive}


def record_after(record: Record, change: Mapping[str, Any]) -> Record:
    """Return a record after one change; unchanged if the change is stale, repeated or refused (A4, A9, A13)."""
    change = _as_read(change)
    if change["op"] == "link":
        return _after_link(record, change)
    if is_passed(change, record.version, record.events):
        return record
    match change["op"]:
        case "upsert":
            return _after_early_patches(_after_upsert(record, change))
        case "patch":
            return _after_patch(record, change) if record.alive else _with_early_patch(record, change)
        case "delete":
            return _without_outdated_patches(_after_delete(record, change))
    raise ValueError(f"op {change['op']!r}: expected upsert, patch, delete or link")


def _as_read(change: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a change with U+FFFD for halves of surrogate pairs, and null for empty references (A13)."""
    read: dict[str, Any] = _whole_text(change)
    for name in ("owner_id", "account_id", "contact_id"):
        if isinstance(read.get(name), str) and not read[name].strip():
            read[name] = None
    return read


def _whole_text(value: Any) -> Any:
    if isinstance(value, str):
        return "".join("\N{REPLACEMENT CHARACTER}" if 0xD800 <= ord(each) <= 0xDFFF else each for each in value)
    if isinstance(value, Mapping):
        return {_whole_text(name): _whole_text(item) for name, item in value.items()}
    return [_whole_text(item) for item in value] if isinstance(value, list) else value


def is_passed(change: Mapping[str, Any], version: int, events: frozenset[str]) -> bool:
    """Whether a newer version was seen, or this very event of the same version (A13)."""
    return change["version"] < version or (change["version"] == version and change["event_id"] in events)


def _events_after(change: Mapping[str, Any], version: int, events: frozenset[str]) -> frozenset[str]:
    """Return the events of the version that a change brings."""
    return (events if change["version"] == version else frozenset()) | {change["event_id"]}


def _after_upsert(record: Record, change: Mapping[str, Any]) -> Record:
    """Replace the whole record but keep its manual links (A4)."""
    return replace(
        record,
        version=change["version"],
        events=_events_after(change, record.version, record.events),
        alive=True,
        owner_id=change.get("owner_id"),
        account_id=change.get("account_id"),
        contact_id=change.get("contact_id"),
        fields=dict(change.get("fields") or {}),
    )


def _after_patch(record: Record, change: Mapping[str, Any]) -> Record:
    """Change the attributes in the patch: absent ones stay, null clears (C12)."""
    return replace(
        record,
        version=change["version"],
        events=_events_after(change, record.version, record.events),
        owner_id=change.get("owner_id", record.owner_id),
        account_id=change.get("account_id", record.account_id),
        contact_id=change.get("contact_id", record.contact_id),
        fields=_merge_patch(record.fields, change.get("fields") or {}),
    )


def _merge_patch(target: Any, patch: Any) -> Any:
    """Return what RFC 7396 says of a target and a patch (C12)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_patch(merged.get(name), value)
    return merged


def _with_early_patch(record: Record, change: Mapping[str, Any]) -> Record:
    """Let a patch wait for its record; a repeat of one that waits is nothing new (A13)."""
    if any((each["version"], each["event_id"]) == (change["version"], change["event_id"]) for each in record.early):
        return record
    return replace(record, early=(*record.early, change))


def _without_outdated_patches(record: Record) -> Record:
    return replace(record, early=tuple(each for each in record.early if each["version"] > record.version))


def _after_early_patches(record: Record) -> Record:
    """Apply the patches that waited for a record and are newer than it, in the order of their versions (A13)."""
    early = sorted(_without_outdated_patches(record).early, key=lambda each: each["version"])  # stable
    record = replace(record, early=())
    for patch in early:
        record = _after_patch(record, patch)
    return record


def _after_delete(record: Record, change: Mapping[str, Any]) -> Record:
    """Drop all but what tells versions, so that a late copy restores nothing (A4)."""
    return Record(
        record.org,
        record.object,
        record.id,
        version=change["version"],
        events=_events_after(change, record.version, record.events),
        link_version=record.link_version,
        link_events=record.link_events,
        early=record.early,
    )


def _after_link(record: Record, change: Mapping[str, Any]) -> Record:
    """Store a manual link or exclusion; links have a version sequence of their own (A4).

    A link for a deleted record is refused, one for a record not seen yet is kept for it.
    """
    deleted = record.version > 0 and not record.alive
    if deleted or is_passed(change, record.link_version, record.link_events):
        return record
    by_hand = {pair: kind for pair, kind in record.by_hand.items() if pair != change["territory_id"]}
    if change["kind"] != "none":
        by_hand[change["territory_id"]] = change["kind"]
    return replace(
        record,
        by_hand=by_hand,
        link_version=change["version"],
        link_events=_events_after(change, record.link_version, record.link_events),
    )
