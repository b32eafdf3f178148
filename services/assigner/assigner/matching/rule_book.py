"""Rule books: the rules of one object type as a tree, without the territories that have none."""

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
    """One territory's rule, and the position of the rule above it in the book."""

    territory_id: str
    """In a book of sharing rules: the rule's mark."""
    criterion: Criterion
    parent: int
    """The position of the nearest ancestor's rule; `NO_PARENT`: no ancestor has one."""


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules, parents first, siblings in the order of the tree.

    A territory without a rule qualifies with its parent and takes no record itself (A1), so it is left out.
    """

    rules: tuple[Rule, ...]

    @property
    def fields(self) -> frozenset[str]:
        """The names of the fields that the rules compare."""
        return frozenset(leaf.field for rule in self.rules for leaf in leaves_of(rule.criterion))

    def deepest(self, holding: Iterable[int]) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2).

        Args:
            holding: The positions of the rules that hold by themselves, in ascending order: parents first.
        """
        qualifying = {NO_PARENT}
        has_qualifying_below = {NO_PARENT}
        for place in holding:
            parent = self.rules[place].parent
            if parent in qualifying:
                qualifying.add(place)
                has_qualifying_below.add(parent)
        return [self.rules[place].territory_id for place in sorted(qualifying - has_qualifying_below)]


def rule_book(model: Model, kind: RuledObject, only: Collection[str] | None = None) -> RuleBook:
    """Return a model's rules for an object type.

    Args:
        model: The model.
        kind: The object type.
        only: Keep these territories and their ancestors; None keeps all.
    """
    wanted = None if only is None else {above for territory_id in only for above in model.tree.path_of(territory_id)}
    rules: list[Rule] = []
    place_below: dict[str, int] = {}
    """By territory, the position of the rule that its children's rules are below."""
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
    """Return the sharing rules of an object type, by their marks; none is below another (V6)."""
    return RuleBook(tuple(Rule(mark, rule.criterion, NO_PARENT) for mark, rule in rules.items() if rule.object == kind))
