"""Compares two models, so that a sweep decides only records that can be decided differently under the new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assigner.assignment.family import Family
from assigner.assignment.policy import TREE_RULED
from assigner.matching.engines import quick_matcher_of
from assigner.matching.port import Matcher
from assigner.matching.rule_book import RuleBook, rule_book, sharing_book
from territory.criteria import Criterion, Leaf, Not
from territory.criteria.places import Circle, Region
from territory.model.compiled import Model
from territory.model.document import OBJECTS, ObjectType, RuledObject
from territory.record_values import has_foreign_money, record_values
from territory.wire.events import Record


class ModelDiff:
    """The records that a change from one model to another may affect.

    It may name a record whose decision stays. A record that it does not name has the same decision.
    """

    def __init__(self, old: Model, new: Model) -> None:
        """Compare two models of one organisation, in time that grows with the number of territories."""
        self._touches: dict[ObjectType, list[Callable[[Record], bool]]] = {kind: [] for kind in OBJECTS}
        self._everything = (
            old.max_territories_per_record != new.max_territories_per_record
            or old.field_types != new.field_types
            or old.calendar.zone != new.calendar.zone
            or (old.organisation.currency != new.organisation.currency and bool(old.money_objects))
        )
        if self._everything:
            return  # the rules of the old model may name fields that are gone, or read days or money otherwise
        for kind in new.money_objects | old.money_objects:
            if old.current_rates != new.current_rates or old.money_meaning != new.money_meaning:
                self._touches[kind].append(lambda record: has_foreign_money(new, record.fields))
        for kind in TREE_RULED:
            touched = _touched(old, new, kind)
            if 2 * len(touched) > len(new.territories):
                self._everything = True
            elif touched:
                books = [rule_book(model, kind, only=touched & model.territories.keys()) for model in (old, new)]
                self._touches[kind].append(_toucher(new, kind, touched, books))
        changed = _changed_sharing(old, new)
        for about in OBJECTS:
            shared = [
                sharing_book({mark: model.sharing[mark] for mark in changed & model.sharing.keys()}, about)
                for model in (old, new)
            ]
            if any(book.rules for book in shared):
                self._touches[about].append(_toucher(new, about, changed, shared))

    def may_change_any(self, family: Family) -> bool:
        """Whether a member of a family may be decided differently."""
        return self._everything or any(self.may_change_in(family, member.record) for member in family)

    def may_change_in(self, family: Family, record: Record) -> bool:
        """Whether a record may be decided differently by itself, or because of a contact in another family (A6)."""
        return self.may_change(record) or family.foreign_may_change(record, self)

    def may_change(self, record: Record) -> bool:
        """Whether a record may be decided differently by itself, not only because of its account or contact.

        A record with manual links always may: a link can hide a territory, or add one that was not in the model.
        """
        return (
            self._everything or bool(record.links) or any(touches(record) for touches in self._touches[record.object])
        )


def _touched(old: Model, new: Model, kind: RuledObject) -> frozenset[str]:
    """Return the territories whose rules, ancestors, deal rules or rank differ.

    For all others, the same records qualify as before (A1).
    """
    changed = set(old.territories.keys() - new.territories.keys())
    for territory_id in new.tree:  # parents first
        parent = new.tree.parent_of(territory_id)
        before, after = old.territories.get(territory_id), new.territories[territory_id]
        if (
            before is None
            or parent in changed
            or old.tree.parent_of(territory_id) != parent
            or not _same(before.rules.get(kind), after.rules.get(kind))
        ):
            changed.add(territory_id)
    for territory_id in old.territories.keys() & new.territories.keys():
        was, becomes = old.territories[territory_id], new.territories[territory_id]
        if was.rank != becomes.rank or not _same(was.rules.get("deal"), becomes.rules.get("deal")):
            changed.add(territory_id)
    return frozenset(changed)


def _changed_sharing(old: Model, new: Model) -> frozenset[str]:
    """Return the marks of the sharing rules that are added or removed, or whose criteria differ.

    Criteria with relative dates differ on another day. A change of a rule's target or level changes no assignment.
    """
    both = old.sharing.keys() & new.sharing.keys()
    different = {mark for mark in both if not _same(old.sharing[mark].criterion, new.sharing[mark].criterion)}
    return frozenset((old.sharing.keys() ^ new.sharing.keys()) | different)


def _toucher(
    new: Model, kind: ObjectType, touched: frozenset[str], books: Sequence[RuleBook]
) -> Callable[[Record], bool]:
    """Return a predicate: whether one of the changed rules holds for a record, by the rule books of both models."""
    names = sorted(name for book in books for name in book.fields)
    types = {name: new.field_types[kind][name] for name in names}
    matchers: list[Matcher] = [quick_matcher_of("index", book) for book in books]

    def touches(record: Record) -> bool:
        fields, _ = record_values(new, kind, types, record.fields)
        return any(not touched.isdisjoint(matcher.matching(fields)) for matcher in matchers)

    return touches


def _same(left: Criterion | None, right: Criterion | None) -> bool:
    """Whether two rules have the same form: then they hold for the same records, with the same explanation."""
    if left is right:
        return True
    if left is None or right is None or type(left) is not type(right):
        return False
    if isinstance(left, Leaf) and isinstance(right, Leaf):
        return (left.field, left.operator, left.operand, left.text) == (
            right.field, right.operator, right.operand, right.text,
        ) and (left.wanted == right.wanted or isinstance(left.wanted, Circle | Region))  # fmt: skip
    return _all_same(_parts_of(left), _parts_of(right))


def _all_same(left: tuple[Criterion, ...], right: tuple[Criterion, ...]) -> bool:
    return len(left) == len(right) and all(map(_same, left, right))


def _parts_of(criterion: Criterion) -> tuple[Criterion, ...]:
    if isinstance(criterion, Leaf):
        return ()
    return (criterion.part,) if isinstance(criterion, Not) else criterion.parts
