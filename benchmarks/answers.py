"""Expected answers, computed apart from the services from the same corpus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from territory.model.compiled import Model
from territory.wire.events import Record
from territory.wire.keys import family_key, record_key


class Answers:
    """The records that a stream of changes results in, and their assignments under a model."""

    def __init__(self, model: Model, changes: Iterable[dict[str, Any]]) -> None:
        self._linker = AssignmentPolicy(model)
        self._standings: dict[str, AssignmentDecision] = {}
        self.records: dict[str, Record] = {}
        """Live records by key."""
        for change in changes:
            self._take(change)

    def _take(self, change: dict[str, Any]) -> None:
        """Merge one change; the corpus has them in the order of their versions."""
        key = record_key(change["org_id"], change["object"], change["id"])
        if change["op"] == "delete":
            del self.records[key]
            return
        before = self.records.get(key)
        if change["op"] == "upsert" or before is None:
            fields = {name: value for name, value in change["fields"].items() if value is not None}
            owner, account, contact = (change.get(name) for name in ("owner_id", "account_id", "contact_id"))
        else:
            merged = before.fields | change["fields"]
            fields = {name: value for name, value in merged.items() if value is not None}
            owner = change.get("owner_id", before.owner_id)
            account = change.get("account_id", before.account_id)
            contact = change.get("contact_id", before.contact_id)
        self.records[key] = Record(
            org_id=change["org_id"], object=change["object"], id=change["id"], version=change["version"],
            link_version=0, deleted=False, owner_id=owner, account_id=account, contact_id=contact, fields=fields,
            links={}, family=family_key(change["org_id"], change["object"], change["id"], account, contact),
            intake_partition=0, event_id=change["event_id"], since_ms=0,
        )  # fmt: skip

    def standing_of(self, key: str) -> AssignmentDecision:
        """Return the assignment of a live record by the plain meaning of the rules (A1 to A6)."""
        standing = self._standings.get(key)
        if standing is None:
            standing = self._standings[key] = self._decided(self.records[key])
        return standing

    def territories_of(self, key: str) -> tuple[str, ...]:
        """Return the territories of a live record, in the order of A3."""
        return tuple(link.territory_id for link in self.standing_of(key).links)

    def _decided(self, record: Record) -> AssignmentDecision:
        if record.object in ("account", "lead"):
            return self._linker.decide_by_rules(record)
        account = self._relative(record, "account", record.account_id)
        if record.object == "contact":
            return self._linker.decide_contact(record, account)
        return self._linker.decide_deal(record, self._relative(record, "contact", record.contact_id), account)

    def _relative(self, record: Record, kind: str, record_id: str | None) -> AssignmentDecision | None:
        """Return the assignment of a record that another one names, if both are of the same family."""
        if record_id is None:
            return None
        key = f"{record.org_id}/{kind}/{record_id}"
        found = self.records.get(key)
        return self.standing_of(key) if found is not None and found.family == record.family else None


def links_each(answers: Answers) -> dict[str, float]:
    """Return how many links an average record of each kind has."""
    counts: dict[str, list[int]] = {}
    for key, record in answers.records.items():
        counts.setdefault(record.object, []).append(len(answers.standing_of(key).links))
    return {kind: sum(found) / len(found) for kind, found in sorted(counts.items())}
