"""Explains the assignments of one account family (A10); pure.

Every assignment is decided anew, with the assigner's own functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from assigner.assignment.family import Family, Member
from assigner.assignment.policy import TREE_RULED, AssignmentDecision, AssignmentPolicy
from territory.criteria import Fields
from territory.model.compiled import Model
from territory.model.document import RuledObject
from territory.wire.events import Record
from territory.wire.keys import record_key

Outcome = Literal[
    "linked", "cut", "runner_up", "excluded", "deeper", "no_rule", "rule_failed", "not_inherited", "not_candidate",
    "deal_rule_failed", "manual_wins", "dropped",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    """Whether a record is in a territory, and why, in sentences."""

    territory_id: str
    outcome: Outcome
    why: tuple[str, ...]
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NearTerritory:
    """A territory that would qualify if one more condition held, of its own rule or of one above it."""

    territory_id: str
    failing_territory: str
    """The territory whose rule fails."""
    why: str
    """The condition, and the record's value."""


class AssignmentExplainer:
    """Explains the members of one account family under one model."""

    def __init__(self, model: Model, family: Family) -> None:
        self._model = model
        self._family = family
        self._policy = AssignmentPolicy(model)
        for member in family:  # accounts come before the contacts and deals that depend on them
            member.decision = family.decide(member.record, self._policy)

    def record(self, key: str) -> Record | None:
        """Return a member's whole record."""
        member = self._family.member(key)
        return None if member is None else member.record

    def decision(self, key: str) -> AssignmentDecision:
        """Return the decision about a member. Raises: KeyError for a record outside the family."""
        return self._decision(self._member(key))

    def links(self, key: str) -> list[Reason]:
        """Return a reason for each of a member's links."""
        return [Reason(link.territory_id, "linked", link.why, link.causes) for link in self.decision(key).links]

    def reason(self, key: str, territory_id: str) -> Reason:
        """Return why a member is in a territory, or the first reason why it is not.

        The territory is in the model, or the member was assigned to it by hand (A11).
        """
        member = self._member(key)
        decision = self._decision(member)
        if territory_id in decision.dropped:
            return Reason(territory_id, "dropped", ("assigned by hand, but the model has no such territory",))
        if territory_id in decision.cut:
            return Reason(territory_id, "cut", (self._why_cut(decision),))
        linked = [reason for reason in self.links(key) if reason.territory_id == territory_id]
        if linked:
            return linked[0]
        by_object = {"contact": self._why_not_contact, "deal": self._why_not_deal}
        outcome, *why = by_object.get(member.record.object, self._why_not_ruled)(member, territory_id)
        return Reason(territory_id, outcome, tuple(why))  # type: ignore[arg-type]  # each begins with an Outcome

    def near_misses(self, key: str, limit: int) -> list[NearTerritory]:
        """Return the territories that an account or lead misses by one condition, the deepest first (A10).

        Contacts and deals have none, since they take territories of other records. Territories that the record
        is assigned to by hand are left out.
        """
        record = self._member(key).record
        if record.object not in TREE_RULED or not limit:
            return []
        by_hand = {territory_id for territory_id, kind in record.links.items() if kind == "assign"}
        fields = self._policy.fields_of(record.object, record.fields)
        found = self._policy.explainer(record.object).near_misses(fields, limit + len(by_hand))
        return [
            NearTerritory(near.territory_id, near.failing_territory, str(near.failure))
            for near in found
            if near.territory_id not in by_hand
        ][:limit]

    def _member(self, key: str) -> Member:
        member = self._family.member(key)
        if member is None:
            raise KeyError(key)
        return member

    def _decision(self, member: Member) -> AssignmentDecision:
        if member.decision is None:
            raise KeyError(member.record.key)
        return member.decision

    # --- why a record is not in a territory --------------------------------------------------

    def _why_cut(self, decision: AssignmentDecision) -> str:
        """Name the territories that rank before one that was cut (A3)."""
        kept = ", ".join(link.territory_id for link in decision.links)
        return (
            f"a record has at most {self._model.max_territories_per_record} territories, and these rank before it: "
            f"{kept} (manual first, then priority, depth, id)"
        )

    def _why_not_ruled(self, member: Member, territory_id: str) -> tuple[str, ...]:
        """Explain an account or a lead, which rules assign along the tree (A1, A2)."""
        record = member.record
        kind: RuledObject = "account" if record.object == "account" else "lead"
        fields = self._policy.fields_of(kind, record.fields)
        excluded = record.links.get(territory_id) == "exclude"
        failure = self._policy.explainer(kind).failure(territory_id, fields)
        if failure is not None:
            above, leaf = failure
            place = "its own rule" if above == territory_id else f"the rule of {above}, which is above it,"
            also = ("it is excluded by hand as well",) if excluded else ()
            return ("rule_failed", f"{place} does not hold: {leaf}", *also)
        if kind not in self._model.territories[territory_id].rules:
            return ("no_rule", f"it has no rule for {kind}s, so it never takes one by rule")
        if excluded:
            return ("excluded", "its rule holds, but it is excluded by hand")
        deeper = [
            found
            for found in self._policy.matching(kind, fields)
            if territory_id in self._model.tree.ancestors_of(found)
        ]
        if deeper:
            return (
                "deeper",
                f"it qualifies, but below it so does {_and(deeper)}, and the deepest of a branch takes it",
            )
        raise AssertionError(f"{record.key} qualifies for {territory_id} and is not linked")

    def _why_not_contact(self, member: Member, territory_id: str) -> tuple[str, ...]:
        """Explain a contact, which takes the territories of its account (A5)."""
        record = member.record
        account = self._family.account_of(record)
        if account is None:
            return ("not_inherited", _no_account("contact", record))
        reason = self.reason(account.record.key, territory_id)
        if reason.outcome == "linked":
            return ("excluded", f"account {record.account_id} is in it, but the contact is excluded by hand")
        return (
            "not_inherited",
            f"a contact takes the territories of its account, and account {record.account_id} is not in it",
            *_about(f"account {record.account_id}", reason),
        )

    def _why_not_deal(self, member: Member, territory_id: str) -> tuple[str, ...]:
        """Explain a deal, which takes one of its contact's or account's territories (A6)."""
        record, decision = member.record, self._decision(member)
        chosen = decision.links[0] if decision.links else None
        if territory_id in decision.runners_up and chosen is not None:
            return (
                "runner_up",
                f"a deal has one territory, and {self._ranks_before(chosen.territory_id, territory_id)}",
            )
        if chosen is not None and "manual" in chosen.causes:
            return ("manual_wins", f"the deal is assigned by hand to {chosen.territory_id}, which wins over all rules")
        foreign = self._foreign_links(record)
        if foreign:
            return self._why_not_by_foreign(record, territory_id, foreign)
        source = self._family.contact_of(record)
        if source is None or not self._decision(source).links:
            source = self._family.account_of(record)
        if source is None:
            return ("not_candidate", _no_account("deal", record))
        name = f"{source.record.object} {source.record.id}"
        reason = self.reason(source.record.key, territory_id)
        if reason.outcome != "linked":
            return (*_not_candidate(source.record.object, name), *_about(name, reason))
        return self._why_not_taken(record, territory_id, name)

    def _foreign_links(self, deal: Record) -> list[str]:
        """Return the territories of a deal's contact, where that is in another family."""
        if deal.contact_id is None or self._family.foreign is None or self._family.contact_of(deal) is not None:
            return []
        key = record_key(deal.org_id, "contact", deal.contact_id)
        decision = self._family.foreign.decision(key, self._policy)
        return [] if decision is None else [link.territory_id for link in decision.links]

    def _why_not_by_foreign(self, deal: Record, territory_id: str, links: list[str]) -> tuple[str, ...]:
        """Explain a deal that goes by a contact of another family."""
        name = f"contact {deal.contact_id}"
        if territory_id not in links:
            also = f"{name} is of another account; explain assignment contact/{deal.contact_id} says more"
            return (*_not_candidate("contact", name), also)
        return self._why_not_taken(deal, territory_id, name)

    def _why_not_taken(self, deal: Record, territory_id: str, source: str) -> tuple[str, ...]:
        """Explain why a candidate does not take a deal: it is excluded, or its rule for deals does not hold."""
        if deal.links.get(territory_id) == "exclude":
            return ("excluded", f"{source} is in it, but the deal is excluded by hand")
        fields = self._policy.fields_of("deal", deal.fields)
        return ("deal_rule_failed", f"{source} is in it, but {self._failed_deal_rule(territory_id, fields)}")

    def _failed_deal_rule(self, territory_id: str, fields: Fields) -> str:
        rule = self._model.territories[territory_id].rules["deal"]
        return f"its rule for deals does not hold: {rule.failure(fields)}"

    def _ranks_before(self, first: str, second: str) -> str:
        """Explain why one territory ranks before another (A3)."""
        left, right = self._model.territories[first], self._model.territories[second]
        if left.priority != right.priority:
            return f"{first} has the higher priority: {left.priority} against {right.priority}"
        if left.depth != right.depth:
            return f"{first} is deeper in the tree, at the same priority"
        return f"{first} comes first by id, at the same priority and depth"


def _not_candidate(word: str, name: str) -> tuple[str, ...]:
    return ("not_candidate", f"a deal takes one of the territories of its {word}, and {name} is not in it")


def _no_account(word: str, record: Record) -> str:
    if record.account_id is None:
        return f"the {word} names no account"
    return f"its account {record.account_id} is not known"


def _about(name: str, reason: Reason) -> Iterable[str]:
    return (f"{name}: {line}" for line in reason.why)


def _and(words: list[str]) -> str:
    return " and ".join(words)
