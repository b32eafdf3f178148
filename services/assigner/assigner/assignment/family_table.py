"""The table of one partition: which records there are, and in which family each is."""

from __future__ import annotations

from collections.abc import Iterable

from assigner.assignment.family import Family, Member
from territory.wire.events import Record
from territory.wire.keys import org_of


class FamilyTable:
    """Families by organisation and family key; a record is in one family at a time."""

    def __init__(self) -> None:
        self._families: dict[str, dict[str, Family]] = {}
        self._family_of: dict[str, str] = {}
        """Family keys by record key."""

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._family_of)

    def family_key_of(self, key: str) -> str | None:
        """Return the key of the family that a record is in; None: the record is not in this partition."""
        return self._family_of.get(key)

    def family_of(self, key: str) -> Family | None:
        """Return the family that a record is in."""
        family_key = self._family_of.get(key)
        return None if family_key is None else self._families[org_of(key)][family_key]

    def member(self, key: str) -> Member | None:
        """Return a record as a member of its family."""
        family = self.family_of(key)
        return None if family is None else family.member(key)

    def family_at(self, record: Record) -> Family:
        """Return the family that a record belongs to by its state; an empty one if it would be the first member."""
        families = self._families.setdefault(record.org_id, {})
        family = families.get(record.family)
        if family is None:
            family = families[record.family] = Family()
        return family

    def put(self, key: str, record: Record) -> Member:
        """Add a record or replace its state; take it out of another family."""
        if self._family_of.get(key, record.family) != record.family:
            self.remove(key)
        self._family_of[key] = record.family
        return self.family_at(record).put(key, record)

    def remove(self, key: str) -> Record | None:
        """Remove a record, and its family with the last member; return its last state, None if there is no record."""
        family_key = self._family_of.pop(key, None)
        if family_key is None:
            return None
        families = self._families[org_of(key)]
        family = families[family_key]
        record = family.remove(key)
        if not len(family):
            del families[family_key]
        return record

    def organisations(self) -> Iterable[tuple[str, Iterable[Family]]]:
        """Iterate over the organisations and their families."""
        return ((org_id, families.values()) for org_id, families in self._families.items())

    def family_keys(self, org_id: str) -> list[str]:
        """Return a copy of the keys of an organisation's families."""
        return list(self._families.get(org_id, ()))

    def family(self, org_id: str, family_key: str) -> Family | None:
        """Return a family by its key."""
        return self._families.get(org_id, {}).get(family_key)
