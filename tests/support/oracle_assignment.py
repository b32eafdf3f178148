"""The oracle's assignment: a record's territories, from the records and the model alone (A9)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .oracle_criteria import criteria_holds, setting_of
from .oracle_forecast import compared_fields
from .oracle_records import Record, key_of
from .oracle_tree import Model, ancestors_of, entries

Records = Mapping[str, Record]
Causes = dict[str, set[str]]

MAX_TERRITORIES_DEFAULT = 10


@dataclass(frozen=True)
class Links:
    """Where a record is and why (A10).

    `territories`, `cut` and `runners_up` stand in the order of A3, `dropped` by id.
    """

    territories: list[str]
    causes: dict[str, list[str]]
    cut: list[str]
    runners_up: list[str]
    dropped: list[str]


def links_of(record: Record, records: Records, model: Model) -> Links:
    """Return the territories of one record, by the rules of its object type."""
    if record.object == "deal":
        return _links_of_deal(record, records, model)
    if record.object == "contact":
        return _limited(record, _inherited_causes(record, records, model), model)
    return _limited(record, _rule_causes(record, model), model)


def qualifies(territory: str, record: Record, model: Model) -> bool:
    """Return whether a territory qualifies: its own rule, if any, holds and its parent qualifies (A1)."""
    parent = entries(model, "territories")[territory].get("parent")
    parent_says_yes = parent is None or qualifies(parent, record, model)
    return parent_says_yes and _own_rule_holds(territory, record, model)


def territories_by_rule(record: Record, model: Model) -> set[str]:
    """Return the qualifying territories with a rule that have no such descendant (A2)."""
    qualifying = {
        territory
        for territory in entries(model, "territories")
        if _rule_of(territory, record.object, model) is not None and qualifies(territory, record, model)
    }
    above_another = {above for territory in qualifying for above in ancestors_of(model, "territories", territory)}
    return qualifying - above_another


def rank(territory: str, manual: bool, model: Model) -> tuple[bool, int, int, str]:
    """Return a sort key: manual first, higher priority, deeper, smaller id (A3)."""
    priority = entries(model, "territories")[territory].get("priority") or 0
    depth = len(ancestors_of(model, "territories", territory))
    return (not manual, -priority, -depth, territory)


def _rule_of(territory: str, object_type: str, model: Model) -> Any:
    return (entries(model, "territories")[territory].get("rules") or {}).get(object_type)


def _own_rule_holds(territory: str, record: Record, model: Model) -> bool:
    """Return whether the territory's own rule for the object type holds; without one it does."""
    rule = _rule_of(territory, record.object, model)
    field_types = (model.get("fields") or {}).get(record.object) or {}
    return rule is None or criteria_holds(
        rule, compared_fields(record, field_types, model), field_types, setting_of(model)
    )


def _rule_causes(record: Record, model: Model) -> Causes:
    """Return the rule links of an account or a lead, without excluded ones (A2, A4, A7)."""
    allowed = territories_by_rule(record, model) - _excluded(record)
    return {territory: {"rule"} for territory in allowed}


def _inherited_causes(contact: Record, records: Records, model: Model) -> Causes:
    """Return the links that a contact inherits from its account, without excluded ones (A5)."""
    account = _account_of(contact, records)
    if account is None:
        return {}
    inherited = set(links_of(account, records, model).territories) - _excluded(contact)
    return {territory: {"inherited"} for territory in inherited}


def _limited(record: Record, causes: Causes, model: Model) -> Links:
    """Add the manual links, which no rule can remove (A4), then cut to the limit (A3)."""
    for territory in _assigned(record, model):
        causes.setdefault(territory, set()).add("manual")
    ordered = sorted(causes, key=lambda each: rank(each, "manual" in causes[each], model))
    limit = (model.get("settings") or {}).get("max_territories_per_record", MAX_TERRITORIES_DEFAULT)
    kept = ordered[:limit]
    return Links(
        territories=kept,
        causes={territory: sorted(causes[territory]) for territory in kept},
        cut=ordered[len(kept) :],
        runners_up=[],
        dropped=_dropped(record, model),
    )


def _links_of_deal(deal: Record, records: Records, model: Model) -> Links:
    """Choose one territory: of the deal's manual links if any, else of its candidates (A6)."""
    assigned = _assigned(deal, model)
    choice = assigned or _candidates(deal, records, model)
    ordered = sorted(choice, key=lambda each: rank(each, bool(assigned), model))
    return Links(
        territories=ordered[:1],
        causes={territory: ["manual" if assigned else "inherited"] for territory in ordered[:1]},
        cut=[],
        runners_up=ordered[1:],
        dropped=_dropped(deal, model),
    )


def _candidates(deal: Record, records: Records, model: Model) -> set[str]:
    """Return the territories of the deal's contact if it has any, else of its account (A6).

    Those are kept where the territory's own deal rule holds and no exclusion forbids.
    """
    followed: list[str] = []
    for leader in (_contact_of(deal, records), _account_of(deal, records)):
        if leader is not None and not followed:
            followed = links_of(leader, records, model).territories
    return {each for each in followed if _own_rule_holds(each, deal, model)} - _excluded(deal)


def _account_of(record: Record, records: Records) -> Record | None:
    if record.account_id is None:
        return None
    return records.get(key_of(record.org, "account", record.account_id))


def _contact_of(deal: Record, records: Records) -> Record | None:
    """Return the deal's contact, whichever account it belongs to, if any (A6)."""
    if deal.contact_id is None:
        return None
    return records.get(key_of(deal.org, "contact", deal.contact_id))


def _excluded(record: Record) -> set[str]:
    return {territory for territory, kind in record.by_hand.items() if kind == "exclude"}


def _assigned(record: Record, model: Model) -> set[str]:
    """Return the territories of the model that a person assigned the record to (A4)."""
    by_hand = {territory for territory, kind in record.by_hand.items() if kind == "assign"}
    return by_hand & set(entries(model, "territories"))


def _dropped(record: Record, model: Model) -> list[str]:
    """Return the manual links to territories that the model does not have (A11)."""
    by_hand = {territory for territory, kind in record.by_hand.items() if kind == "assign"}
    return sorted(by_hand - set(entries(model, "territories")))
