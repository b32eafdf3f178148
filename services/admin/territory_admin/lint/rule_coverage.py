"""Which territories records reach by rule: where siblings overlap, and which territories none reaches; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from assigner.assignment.policy import RULED_OBJECTS, TREE_RULED, AssignmentPolicy
from assigner.matching.indexed import IndexedMatcher
from assigner.matching.rule_book import NO_PARENT, Rule, RuleBook, rule_book
from territory.criteria import Fields
from territory.model.compiled import Model
from territory.model.document import RuledObject
from territory.wire.events import Record

PAIRS_MAX = 100_000
SIBLINGS_MAX = 100
"""The most pairs that are counted, and siblings of one record; the result has a flag if any were left out."""
SAMPLED_MAX = 200
SHARED_MAX = 100_000

Reached = tuple[RuledObject, tuple[str, ...]]
"""The deepest territories that one record qualifies for; for a deal, all whose deal rule holds."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two territories with one parent, or two roots, and the number of records that reach both by rule (A2)."""

    object: RuledObject
    parent: str | None
    siblings: tuple[str, str]
    records: int


@dataclass(frozen=True, slots=True)
class Unreached:
    """A territory that no record reaches: its rule never holds together with those above it (A1)."""

    object: RuledObject
    territory_id: str
    below: tuple[str, ...]
    """The territories below it that have a rule; no record reaches them either."""


@dataclass(frozen=True, slots=True)
class RecordCoverage:
    """The territories that records reach, and those that they do not."""

    records: dict[RuledObject, int]
    overlaps: tuple[Overlap, ...]
    """The pairs with the most records first."""
    unreached: tuple[Unreached, ...]
    """Only of objects that have records."""
    pairs_left_out: bool
    """Whether there were more than `PAIRS_MAX` pairs, or more than `SIBLINGS_MAX` siblings for one record."""


class Coverage:
    """Counts the territories that records reach. Memory: the keys of one partition, and the counts."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._policy = AssignmentPolicy(model)
        self._books = {kind: rule_book(model, kind) for kind in RULED_OBJECTS}
        alone = RuleBook(tuple(Rule(*rule[:2], NO_PARENT) for rule in self._books["deal"].rules))
        self._deal_rules = IndexedMatcher(alone)  # the deal rules of ancestors do not matter (A6)
        self._found: dict[str, Reached] = {}
        """By key, the records of the current partition; a later state replaces an earlier one."""
        self._shared: dict[Reached, Reached] = {}
        self._records: Counter[RuledObject] = Counter()
        self._reached: dict[RuledObject, set[str]] = {kind: set() for kind in RULED_OBJECTS}
        self._overlaps: Counter[tuple[RuledObject, str, str]] = Counter()
        self._pairs_left_out = False
        self.sample: dict[RuledObject, list[Fields]] = {kind: [] for kind in RULED_OBJECTS}
        """Some records of each object, to measure rules with."""

    def take(self, key: str, record: Record | None) -> None:
        """Add the state of a record; None, a deletion, or a record that has only links so far (A4) removes it."""
        if record is None or not record.is_live or record.object == "contact":
            self._found.pop(key, None)
            return
        kind = record.object
        fields = self._policy.fields_of(kind, record.fields)
        matcher = self._deal_rules.matching if kind == "deal" else lambda of: self._policy.matching(kind, of)
        found = (kind, tuple(matcher(fields)))
        if len(self._shared) >= SHARED_MAX:
            self._shared.clear()
        self._found[key] = self._shared.setdefault(found, found)
        if len(self.sample[kind]) < SAMPLED_MAX:
            self.sample[kind].append(fields)

    def end_partition(self) -> None:
        """Count the records of the current partition, which was read to its end, and forget their keys."""
        for (kind, found), count in Counter(self._found.values()).items():
            self._records[kind] += count
            reached = set(found)
            if kind in TREE_RULED:
                reached.update(above for territory_id in found for above in self._model.tree.path_of(territory_id))
                self._count_overlaps(kind, reached, count)
            self._reached[kind] |= reached
        self._found.clear()

    def _count_overlaps(self, kind: RuledObject, reached: set[str], count: int) -> None:
        by_parent: dict[str | None, list[str]] = {}
        for territory_id in reached:
            by_parent.setdefault(self._model.tree.parent_of(territory_id), []).append(territory_id)
        for siblings in by_parent.values():
            self._pairs_left_out |= len(siblings) > SIBLINGS_MAX
            for pair in combinations(sorted(siblings)[:SIBLINGS_MAX], 2):
                if len(self._overlaps) < PAIRS_MAX or (kind, *pair) in self._overlaps:
                    self._overlaps[kind, *pair] += count
                else:
                    self._pairs_left_out = True

    def result(self) -> RecordCoverage:
        """Return the counts over all partitions."""
        overlaps = (
            Overlap(kind, self._model.tree.parent_of(left), (left, right), count)
            for (kind, left, right), count in self._overlaps.items()
        )
        return RecordCoverage(
            records={kind: self._records[kind] for kind in RULED_OBJECTS},
            overlaps=tuple(sorted(overlaps, key=lambda each: (-each.records, each.object, each.siblings))),
            unreached=tuple(found for kind in RULED_OBJECTS if self._records[kind] for found in self._unreached(kind)),
            pairs_left_out=self._pairs_left_out,
        )

    def _unreached(self, kind: RuledObject) -> Iterable[Unreached]:
        rules, reached = self._books[kind].rules, self._reached[kind]
        below: dict[str, list[str]] = {}
        first: dict[int, str] = {}
        """By position of an unreached territory: the first unreached one of its branch."""
        for place, rule in enumerate(rules):
            if rule.territory_id in reached:
                continue
            first[place] = first.get(rule.parent, rule.territory_id) if kind in TREE_RULED else rule.territory_id
            below.setdefault(first[place], [])
            if first[place] != rule.territory_id:
                below[first[place]].append(rule.territory_id)
        return [Unreached(kind, territory_id, tuple(names)) for territory_id, names in below.items()]
