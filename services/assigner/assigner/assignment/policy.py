"""Decides one record under one model: its territories (A1 to A6, A10, A11), and its sharing rules (V6)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assigner.assignment.explanations import RuleExplainer, shorten_lines
from assigner.matching.engines import EngineName, matcher_of, quick_matcher_of
from assigner.matching.port import Matcher, RulesRefused
from assigner.matching.rule_book import RuleBook, rule_book, sharing_book
from territory.criteria import Fields
from territory.criteria.values import FieldType, Unreadable
from territory.errors import Fault, ModelRefused
from territory.model.compiled import Model
from territory.model.document import OBJECTS, ObjectType, RuledObject
from territory.record_values import record_values
from territory.wire.events import Cause, Link, Record

INTERNED_DECISIONS_MAX = 100_000
"""Of each of the two caches of decisions; a full one is emptied."""
RULED_OBJECTS: tuple[RuledObject, ...] = ("account", "lead", "deal")
TREE_RULED: tuple[RuledObject, ...] = ("account", "lead")
"""The object types that rules assign along the tree; a deal's rules only choose among what it inherits (A6)."""

Causes = dict[str, list[tuple[Cause, tuple[str, ...]]]]
"""By territory, the causes of a record's link to it, each with its lines of explanation."""


@dataclass(frozen=True, slots=True)
class AssignmentDecision:
    """What a model decides for a record, without the record's own data; many records share one.

    Attributes:
        links: The territories, with causes and explanations, in the order of A3.
        cut: Territories beyond the model's limit of a record (A3).
        runners_up: Other territories that a deal could have had (A6).
        dropped: Manually assigned territories that are not in the model (A11).
        unassigned: Why a deal has no territory.
        shared: The marks of the sharing rules that hold (V6).
    """

    links: tuple[Link, ...]
    cut: tuple[str, ...] = ()
    runners_up: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    unassigned: str | None = None
    shared: tuple[str, ...] = ()


NO_TERRITORY = AssignmentDecision(())


class AssignmentPolicy:
    """The rules of one model, ready to decide. Pure: a record and its relatives give one decision (A9)."""

    def __init__(self, model: Model, engine: EngineName = "index") -> None:
        """Compile the rules, which may take seconds.

        Raises: ModelRefused where the engine cannot carry a rule exactly; EngineMissing where it is not installed.
        """
        self.model = model
        self.wrong_values = 0
        """Unreadable values so far, in fields that rules compare (C6)."""
        books = {kind: rule_book(model, kind) for kind in RULED_OBJECTS}
        shared = {kind: book for kind in OBJECTS if (book := sharing_book(model.sharing, kind)).rules}
        self._matchers, self._sharing_matchers = _matchers(engine, books, shared, model)
        self._explainers = {kind: RuleExplainer(model, kind) for kind in TREE_RULED}
        self._types = {kind: _types_of(model, kind, [books, shared]) for kind in OBJECTS}
        ruled = {kind: self._types[kind] if kind in TREE_RULED else {} for kind in OBJECTS}
        self._unruled = {
            kind: {name: of for name, of in model.field_types.get(kind, {}).items() if name not in ruled[kind]}
            for kind in OBJECTS
        }
        """The declared fields that a decision need not have read."""
        self._by_rules: dict[tuple[tuple[str, ...], ...], AssignmentDecision] = {}
        """Decisions of records without manual links, by territories, sharing rules and the leaves that held in each."""
        self._interned: dict[AssignmentDecision, AssignmentDecision] = {}

    def fields_of(self, kind: ObjectType, fields: Mapping[str, object]) -> Fields:
        """Return the typed values of the fields that rules compare (C3, C6), money in one currency (C9)."""
        values, wrong = record_values(self.model, kind, self._types[kind], fields)
        self.wrong_values += wrong
        return values

    def unreadable_in(self, record: Record, *, is_any_known: bool) -> list[str]:
        """Return the declared fields of a record whose values can't be read (C6).

        Args:
            record: A record that was just decided.
            is_any_known: Whether its decision met an unreadable value; if not, only other fields are read.
        """
        kind = record.object
        types = self.model.field_types.get(kind, {}) if is_any_known else self._unruled[kind]
        values, count = record_values(self.model, kind, types, record.fields)
        return [name for name, value in values.items() if isinstance(value, Unreadable)] if count else []

    def matching(self, kind: RuledObject, fields: Fields) -> list[str]:
        """Return the territories that an account or a lead qualifies for by rule (A2)."""
        return self._matchers[kind].matching(fields)

    def shared(self, kind: ObjectType, fields: Fields) -> tuple[str, ...]:
        """Return the marks of the sharing rules that hold for a record (V6)."""
        matcher = self._sharing_matchers.get(kind)
        return () if matcher is None else tuple(matcher.matching(fields))

    def explainer(self, kind: RuledObject) -> RuleExplainer:
        """Return the explainer of accounts or of leads (A10)."""
        return self._explainers[kind]

    def decide_by_rules(self, record: Record) -> AssignmentDecision:
        """Decide an account or a lead by rules and its manual links (A2, A3, A4, A7); sharing rules (V6)."""
        kind: RuledObject = "account" if record.object == "account" else "lead"
        fields = self.fields_of(kind, record.fields)
        found, shared = self.matching(kind, fields), self.shared(kind, fields)
        explainer = self._explainers[kind]
        why = [explainer.why(territory_id, fields) for territory_id in found]
        causes: Causes
        if record.links:
            causes = {
                territory_id: [("rule", lines)]
                for territory_id, lines in zip(found, why, strict=True)
                if record.links.get(territory_id) != "exclude"
            }
            return self._limited(record, causes, shared)
        parts = (tuple(found), shared, *why)
        decision = self._by_rules.get(parts)
        if decision is None:
            if len(self._by_rules) >= INTERNED_DECISIONS_MAX:
                self._by_rules.clear()
            causes = {territory_id: [("rule", lines)] for territory_id, lines in zip(found, why, strict=True)}
            decision = self._by_rules[parts] = self._limited(record, causes, shared)
        return decision

    def decide_contact(self, contact: Record, account: AssignmentDecision | None) -> AssignmentDecision:
        """Decide a contact: its account's territories and its manual links (A5); sharing rules (V6)."""
        shared: tuple[str, ...] = ()
        if "contact" in self._sharing_matchers:
            shared = self.shared("contact", self.fields_of("contact", contact.fields))
        if not contact.links and (account is None or not account.links):
            return self._intern(AssignmentDecision((), shared=shared)) if shared else NO_TERRITORY
        causes: Causes = {}
        for link in account.links if account is not None else ():
            if contact.links.get(link.territory_id) != "exclude":
                why = (f"inherited from account {contact.account_id}",)
                causes[link.territory_id] = [("inherited", why)]
        return self._limited(contact, causes, shared)

    def decide_deal(
        self,
        deal: Record,
        contact: AssignmentDecision | None,
        account: AssignmentDecision | None,
        foreign: Record | None = None,
    ) -> AssignmentDecision:
        """Decide a deal: a manual link, else one of its contact's or account's territories (A6); sharing (V6).

        Args:
            deal: The deal.
            contact: The decision for the contact that it names; None: it names none, or that is not known.
            account: The same for its account.
            foreign: The contact, where that is in another family.
        """
        is_read = "deal" in self._sharing_matchers
        fields = self.fields_of("deal", deal.fields) if is_read else {}
        shared = self.shared("deal", fields)
        manual, dropped = self._manual(deal)
        if manual:
            first, *others = self._ranked(manual)
            links = (Link(first, ("manual",), (_MANUAL_LINE,)),)
            return AssignmentDecision(links, runners_up=tuple(others), dropped=dropped, shared=shared)
        source, candidates = "contact", contact.links if contact is not None else ()
        if not candidates:
            source, candidates = "account", account.links if account is not None else ()
        kept = [link.territory_id for link in candidates if deal.links.get(link.territory_id) != "exclude"]
        if any("deal" in self.model.territories[territory_id].rules for territory_id in kept):
            fields = fields if is_read else self.fields_of("deal", deal.fields)
            kept = [territory_id for territory_id in kept if self._takes_deal(territory_id, fields)]
        if not kept:
            why_not = _unassigned(deal, account, len(candidates), source)
            return AssignmentDecision((), dropped=dropped, unassigned=why_not, shared=shared)
        first, *others = self._ranked(kept)
        rule = self.model.territories[first].rules.get("deal")
        why = [_inherited_from(deal, source, foreign)]
        if rule is not None:
            why += [f"{first}: {leaf}" for leaf in rule.held(fields)]
        links = (Link(first, ("inherited",), shorten_lines(why)),)
        return self._intern(AssignmentDecision(links, runners_up=tuple(others), dropped=dropped, shared=shared))

    def _intern(self, decision: AssignmentDecision) -> AssignmentDecision:
        """Return an equal decision that is in memory already, if there is one."""
        if len(self._interned) >= INTERNED_DECISIONS_MAX:
            self._interned.clear()
        return self._interned.setdefault(decision, decision)

    def _takes_deal(self, territory_id: str, fields: Fields) -> bool:
        rule = self.model.territories[territory_id].rules.get("deal")
        return rule is None or rule.holds(fields)

    def _manual(self, record: Record) -> tuple[list[str], tuple[str, ...]]:
        """Return the manually assigned territories: those in the model, and those that are not (A11)."""
        if not record.links:
            return [], ()
        assigned = sorted(territory for territory, kind in record.links.items() if kind == "assign")
        known = [territory for territory in assigned if territory in self.model.territories]
        return known, tuple(territory for territory in assigned if territory not in self.model.territories)

    def _limited(self, record: Record, causes: Causes, shared: tuple[str, ...]) -> AssignmentDecision:
        """Return the decision of a record's causes: in the order of A3, up to the model's limit."""
        manual, dropped = self._manual(record)
        for territory_id in manual:
            causes.setdefault(territory_id, []).append(("manual", (_MANUAL_LINE,)))
        order = self._ranked(causes, first=frozenset(manual))
        limit = self.model.max_territories_per_record
        kept, cut = (order, []) if limit is None else (order[:limit], order[limit:])
        links = tuple(
            Link(
                territory_id,
                tuple(cause for cause, _ in causes[territory_id]),
                tuple(line for _, lines in causes[territory_id] for line in lines),
            )
            for territory_id in kept
        )
        return self._intern(AssignmentDecision(links, cut=tuple(cut), dropped=dropped, shared=shared))

    def _ranked(self, territory_ids: Collection[str], first: frozenset[str] = frozenset()) -> list[str]:
        """Sort territories as A3 does: `first`, then priority, depth and id."""
        if len(territory_ids) < 2:
            return list(territory_ids)
        territories = self.model.territories
        return sorted(territory_ids, key=lambda territory: (territory not in first, territories[territory].rank))


_MANUAL_LINE = "assigned by hand"


def _types_of(model: Model, kind: ObjectType, books: Iterable[Mapping[Any, RuleBook]]) -> dict[str, FieldType]:
    """Return the types of the fields that the rules of an object type compare."""
    names = {name for of_kind in books if kind in of_kind for name in of_kind[kind].fields}
    return {name: model.field_types[kind][name] for name in sorted(names)}


def _matchers(
    engine: EngineName, books: Mapping[RuledObject, RuleBook], shared: Mapping[ObjectType, RuleBook], model: Model
) -> tuple[dict[RuledObject, Matcher], dict[ObjectType, Matcher]]:
    """Return the matchers of territory rules, and those of sharing rules, by object type.

    Raises: ModelRefused.
    """
    matchers: dict[RuledObject, Matcher] = {}
    sharing_matchers: dict[ObjectType, Matcher] = {}
    faults: list[Fault] = []
    for kind in TREE_RULED:
        try:
            matchers[kind] = matcher_of(engine, books[kind])
        except RulesRefused as refused:
            faults += [Fault(f"territories[{territory_id}].rules.{kind}", why) for territory_id, why in refused.refused]
    for about, book in shared.items():
        try:
            sharing_matchers[about] = quick_matcher_of(engine, book)
        except RulesRefused as refused:
            faults += [Fault(f"sharing[{model.sharing[mark].id}].criteria", why) for mark, why in refused.refused]
    if faults:
        raise ModelRefused(sorted(faults))
    return matchers, sharing_matchers


def _inherited_from(deal: Record, source: str, foreign: Record | None) -> str:
    """Return which record a deal has its territory from; of a contact in another family, its account as well."""
    if source == "account":
        return f"inherited from account {deal.account_id}"
    if foreign is None:
        return f"inherited from contact {deal.contact_id}"
    account = "which names no account" if foreign.account_id is None else f"of account {foreign.account_id}"
    return f"inherited from contact {deal.contact_id}, {account}"


def _unassigned(deal: Record, account: AssignmentDecision | None, candidates: int, source: str) -> str:
    """Return why a deal has no territory."""
    if candidates:
        return (
            f"none of the {candidates} territories of its {source} takes it: excluded, or their deal rules do not hold"
        )
    if deal.account_id is None and deal.contact_id is not None:
        return f"it names no account, and its contact {deal.contact_id} is not known or in no territory"
    if deal.account_id is None:
        return "it names no account"
    if account is None:
        return f"its account {deal.account_id} is not known"
    return f"its account {deal.account_id} is in no territory"
