"""The table of one partition: which records there are, and in which family each is."""

from __future__ import annotations

from collections.abc import Iterable

from assigner.assignment.family import Family, Member
from assigner.assignment.foreign.copies import ForeignContacts
from territory.wire.events import Record
from territory.wire.keys import org_of, record_key

INDEXED_MEMBERS_MIN = 50
"""In larger families the deals of a contact come from an index, which is built at the first question."""


class FamilyTable:
    """Families by organisation and family key; a record is in one family at a time."""

    def __init__(self, foreign: ForeignContacts | None = None) -> None:
        """Begin without records; `foreign` learns which deals name a contact outside their family."""
        self.foreign = foreign or ForeignContacts()
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
            family = families[record.family] = Family(self.foreign)
        return family

    def put(self, key: str, record: Record) -> Member:
        """Add a record or replace its state; take it out of another family."""
        if self._family_of.get(key, record.family) != record.family:
            self.remove(key)
        self._family_of[key] = record.family
        family = self.family_at(record)
        if record.object == "deal":
            before = family.member(key)
            self._forget_contact(family, key, None if before is None else before.record, record.contact_id)
            if record.contact_id is not None and family.contact_of(record) is None:
                self._note_contact(family, key, record)
        elif record.object == "contact":
            self._contact_came(family, key)
        return family.put(key, record)

    def remove(self, key: str) -> Record | None:
        """Remove a record, and its family with the last member; return its last state, None if there is no record."""
        family_key = self._family_of.pop(key, None)
        if family_key is None:
            return None
        families = self._families[org_of(key)]
        family = families[family_key]
        record = family.remove(key)
        if record.object == "deal":
            self._forget_contact(family, key, record, None)
        elif record.object == "contact":
            self._contact_left(family, record)
        if not len(family):
            del families[family_key]
        return record

    def _forget_contact(self, family: Family, key: str, deal: Record | None, contact_id: str | None) -> None:
        """Forget that a deal needs a contact of another family, unless it still names that one."""
        if deal is None or deal.contact_id is None or deal.contact_id == contact_id:
            return
        was_foreign = self.foreign.remove_deal(key, record_key(deal.org_id, "contact", deal.contact_id))
        family.foreign_deals -= was_foreign

    def _note_contact(self, family: Family, key: str, deal: Record) -> None:
        contact_key = record_key(deal.org_id, "contact", deal.contact_id or "")
        family.foreign_deals += self.foreign.add_deal(key, contact_key)

    def _contact_came(self, family: Family, contact_key: str) -> None:
        """Let the family's deals that name a contact go by the member from now on."""
        naming = self.foreign.deals_naming(contact_key)
        if naming and family.foreign_deals:
            for key in [key for key in naming if family.member(key) is not None]:
                family.foreign_deals -= self.foreign.remove_deal(key, contact_key)

    def _contact_left(self, family: Family, contact: Record) -> None:
        """Note the family's deals that name a contact which is no member any more."""
        if len(family) > INDEXED_MEMBERS_MIN:
            naming = [family.member(key) for key in family.deals_naming(contact.id)]
        else:
            naming = list(family.followers_of(contact))
        for member in naming:
            if member is not None:
                self._note_contact(family, member.record.key, member.record)

    def organisations(self) -> Iterable[tuple[str, Iterable[Family]]]:
        """Iterate over the organisations and their families."""
        return ((org_id, families.values()) for org_id, families in self._families.items())

    def family_keys(self, org_id: str) -> list[str]:
        """Return a copy of the keys of an organisation's families."""
        return list(self._families.get(org_id, ()))

    def family(self, org_id: str, family_key: str) -> Family | None:
        """Return a family by its key."""
        return self._families.get(org_id, {}).get(family_key)
