"""The field values that deals are grouped by: a deal's own, and its account's; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Literal, NamedTuple

from territory.criteria.values import FieldType, Unreadable, Value, read_value
from territory.model.document import ObjectType
from territory.money import text_of
from territory.wire.events import Record


class Field(NamedTuple):
    """A declared field of deals, or of their accounts."""

    object: Literal["deal", "account"]
    name: str
    type: FieldType


class FieldValue(NamedTuple):
    """A record's value of a field. Values that criteria call equal form one group (C3)."""

    value: Value | None
    """None if it is missing or unreadable (C6)."""
    text: str | None
    """How reports show it: a text as it was written, any other value as text."""


MISSING = FieldValue(None, None)


def field_value(kind: FieldType, raw: object, zone: tzinfo = UTC) -> FieldValue:
    """Read the value of one field, in the organisation's time zone (C8)."""
    value = read_value(kind, raw, zone)
    if value is None or isinstance(value, Unreadable):
        return MISSING
    return FieldValue(value, raw.strip() if isinstance(raw, str) and kind == "text" else _text(value))


def _text(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case int() | Decimal():
            return text_of(Decimal(value))
        case frozenset():
            return "; ".join(sorted(value))
        case tuple():
            return ", ".join(map(text_of, value))
        case _:
            return str(value)


class DealFields:
    """The fields of all deals that one report groups by, read from whole records.

    A deal's account is a member of its family, so both are in one partition.
    Memory: the records of one partition, and one tuple for each distinct combination of values.
    """

    def __init__(self, fields: Sequence[Field], zone: tzinfo = UTC) -> None:
        self._fields = fields
        self._zone = zone
        self._records: dict[str, Record] = {}
        self._found: dict[str, tuple[int, tuple[FieldValue, ...]]] = {}
        self._shared: dict[tuple[FieldValue, ...], tuple[FieldValue, ...]] = {}

    def take(self, key: str, record: Record | None) -> None:
        """Add the state of a record; None, a deletion, or a record that has only links so far (A4) removes it."""
        if record is None or not record.is_live or record.object not in ("deal", "account"):
            self._records.pop(key, None)
        else:
            self._records[key] = record

    def end_partition(self) -> None:
        """Join the deals of a partition with their accounts, once it was read to its end."""
        for key, deal in self._records.items():
            if deal.object != "deal":
                continue
            account = self._records.get(f"{deal.org_id}/account/{deal.account_id}")
            of: Mapping[ObjectType, Mapping[str, object]] = {
                "deal": deal.fields,
                "account": {} if account is None else account.fields,
            }
            values = tuple(field_value(each.type, of[each.object].get(each.name), self._zone) for each in self._fields)
            before = self._found.get(key)
            if before is None or deal.version >= before[0]:  # else it is of a family that the deal has left
                self._found[key] = (deal.version, self._shared.setdefault(values, values))
        self._records.clear()

    def of(self, key: str) -> tuple[FieldValue, ...]:
        """Return a deal's values in the order of the fields; an unknown deal's are all missing."""
        found = self._found.get(key)
        return (MISSING,) * len(self._fields) if found is None else found[1]
