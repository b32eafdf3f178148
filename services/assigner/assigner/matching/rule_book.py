"""The rules of one object type as a tree of their own: all that a matching engine needs to know."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from territory.criteria import Criterion, leaves_of
from territory.model.compiled import Model
from territory.model.document import ObjectType, RuledObject
from territory.model.sharing import Sharing

NO_PARENT = -1


class Rule(NamedTuple):
    """One territory's rule, and where the rule above it is in the book."""

    territory_id: str
    """In a book of sharing rules, which have no tree, the rule's mark."""
    criterion: Criterion
    parent: int
    """Place of the nearest territory above that has a rule; `NO_PARENT`: there is none."""


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The territories that have a rule, each after the one above it, siblings in the tree's order.

    A territory without a rule passes its parent's answer on and takes nothing (A1): it has no place here.
    """

    rules: tuple[Rule, ...]

    @property
    def fields(self) -> frozenset[str]:
        """The fields that the rules compare."""
        return frozenset(leaf.field for rule in self.rules for leaf in leaves_of(rule.criterion))

    def deepest(self, holding: Iterable[int]) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2).

        Args:
            holding: The places of the rules that hold, whatever is above them; they rise, so that each comes
                after the one above it.
        """
        qualifying = {NO_PARENT}
        surpassed = {NO_PARENT}
        for place in holding:
            parent = self.rules[place].parent
            if parent in qualifying:
                qualifying.add(place)
                surpassed.add(parent)
        return [self.rules[place].territory_id for place in sorted(qualifying - surpassed)]


def rule_book(model: Model, kind: RuledObject, only: Collection[str] | None = None) -> RuleBook:
    """Return a model's rules for an object type.

    Args:
        model: The model.
        kind: The object type.
        only: Leave out all territories but these and those above them; None takes all.
    """
    wanted = None if only is None else {above for territory_id in only for above in model.tree.path_of(territory_id)}
    rules: list[Rule] = []
    place_below: dict[str, int] = {}
    """By territory, the place of the rule that a child of it stands under."""
    for territory_id in model.tree:
        if wanted is not None and territory_id not in wanted:
            continue
        parent = model.tree.parent_of(territory_id)
        above = NO_PARENT if parent is None else place_below[parent]
        criterion = model.territories[territory_id].rules.get(kind)
        if criterion is None:
            place_below[territory_id] = above
        else:
            place_below[territory_id] = len(rules)
            rules.append(Rule(territory_id, criterion, above))
    return RuleBook(tuple(rules))


def sharing_book(rules: Mapping[str, Sharing], kind: ObjectType) -> RuleBook:
    """Return the sharing rules for an object type, by their marks: all of them are roots (V6)."""
    return RuleBook(tuple(Rule(mark, rule.criterion, NO_PARENT) for mark, rule in rules.items() if rule.object == kind))
