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
        org, object_type, record_id = change["org_id"], change["object"], change["id"]
        key = key_of(org, object_type, record_id)
        known[key] = record_after(known.get(key, Record(org, object_type, record_id)), change)
    return {key: record for key, record in known.items() if record.alive}


def record_after(record: Record, change: Mapping[str, Any]) -> Record:
    """Return a record after one change; unchanged if the change is stale or refused (A4, A9)."""
    if change["op"] == "link":
        return _after_link(record, change)
    if change["version"] <= record.version:
        return record
    match change["op"]:
        case "upsert":
            return _after_upsert(record, change)
        case "patch":
            return _after_patch(record, change) if record.alive else record
        case "delete":
            return _after_delete(record, change)
    raise ValueError(f"op {change['op']!r}: expected upsert, patch, delete or link")


def _after_upsert(record: Record, change: Mapping[str, Any]) -> Record:
    """Replace the whole record but keep its manual links (A4)."""
    return replace(
        record,
        version=change["version"],
        alive=True,
        owner_id=change.get("owner_id"),
        account_id=change.get("account_id"),
        contact_id=change.get("contact_id"),
        fields=dict(change.get("fields") or {}),
    )


def _after_patch(record: Record, change: Mapping[str, Any]) -> Record:
    """Change the attributes in the patch: absent ones stay, null clears."""
    return replace(
        record,
        version=change["version"],
        owner_id=change.get("owner_id", record.owner_id),
        account_id=change.get("account_id", record.account_id),
        contact_id=change.get("contact_id", record.contact_id),
        fields={**record.fields, **(change.get("fields") or {})},
    )


def _after_delete(record: Record, change: Mapping[str, Any]) -> Record:
    """Drop all but the two versions, so that a late copy restores nothing (A4)."""
    return Record(
        record.org,
        record.object,
        record.id,
        version=change["version"],
        link_version=record.link_version,
    )


def _after_link(record: Record, change: Mapping[str, Any]) -> Record:
    """Store a manual link or exclusion; links have a version sequence of their own (A4).

    A link for a deleted record is refused, one for a record not seen yet is kept for it.
    """
    deleted = record.version > 0 and not record.alive
    if deleted or change["version"] <= record.link_version:
        return record
    by_hand = {pair: kind for pair, kind in record.by_hand.items() if pair != change["territory_id"]}
    if change["kind"] != "none":
        by_hand[change["territory_id"]] = change["kind"]
    return replace(record, by_hand=by_hand, link_version=change["version"])
