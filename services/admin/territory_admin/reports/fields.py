"""Values of fields that deals are grouped by: a deal's own, and those of its account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from territory.criteria.values import FieldType, Value, read_value
from territory.model.document import ObjectType
from territory.money import text_of
from territory.wire.events import Record


class Field(NamedTuple):
    """A declared field of a deal, or of the account that a deal names."""

    object: Literal["deal", "account"]
    name: str
    type: FieldType


class FieldValue(NamedTuple):
    """What a record has in a field. Values that criteria call equal are one group (C3)."""

    value: Value | None
    """None: it is missing, or of another type than was declared (C6)."""
    text: str | None
    """As it is shown: a text as it was written, else the value."""


MISSING = FieldValue(None, None)


def field_value(kind: FieldType, raw: object) -> FieldValue:
    """Return the value of one field."""
    value = read_value(kind, raw)
    if value is None:
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
    """The fields of deals that one report asks for, read from whole records by account family.

    A deal's account is a member of its family, so both are in one partition.
    Memory: the records of one partition, and a tuple a deal, the same one for the same values.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields
        self._records: dict[str, Record] = {}
        self._found: dict[str, tuple[int, tuple[FieldValue, ...]]] = {}
        self._shared: dict[tuple[FieldValue, ...], tuple[FieldValue, ...]] = {}

    def take(self, key: str, record: Record | None) -> None:
        """Take the state of a record of the partition; None, a deletion, or links alone (A4) take it away."""
        if record is None or record.deleted or not record.version or record.object not in ("deal", "account"):
            self._records.pop(key, None)
        else:
            self._records[key] = record

    def end_partition(self) -> None:
        """Join the deals of a partition that was read to its end with their accounts."""
        for key, deal in self._records.items():
            if deal.object != "deal":
                continue
            account = self._records.get(f"{deal.org_id}/account/{deal.account_id}")
            of: Mapping[ObjectType, Mapping[str, object]] = {
                "deal": deal.fields,
                "account": {} if account is None else account.fields,
            }
            values = tuple(field_value(each.type, of[each.object].get(each.name)) for each in self._fields)
            before = self._found.get(key)
            if before is None or deal.version >= before[0]:  # else a family that the deal has left
                self._found[key] = (deal.version, self._shared.setdefault(values, values))
        self._records.clear()

    def of(self, key: str) -> tuple[FieldValue, ...]:
        """Return the values of a deal, in the order of the fields; of an unknown one they are missing."""
        found = self._found.get(key)
        return (MISSING,) * len(self._fields) if found is None else found[1]
