"""The rule sets of durable_rules: its library, its limits, and how alternatives are divided among sets."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, NamedTuple

from assigner.matching.port import EngineMissing

_names = count()


class Comparison(NamedTuple):
    """The comparison of an attribute with a value."""

    name: str
    operator: str
    value: int | str

    def document(self) -> dict[str, Any]:
        """Return the comparison in the notation of durable_rules."""
        compared = {self.name: self.value}
        return compared if self.operator == "eq" else {f"${self.operator}": compared}


Alternative = tuple[Comparison, ...]
"""Comparisons that must all hold."""

PENDING_MAX = 64
"""durable_rules fails on a record for which more comparisons are pending."""
BRANCHES_MAX = 500
"""durable_rules has at most 511 comparisons after the same ones."""
ENDS_MAX = 250
"""durable_rules has at most 256 rules with the same comparisons; with more it overwrites its own memory."""
ACTIONS_MAX = 4_000
"""durable_rules has at most 4 096 rules in a set."""


class _Branch:
    """Alternatives with the same first comparisons, counted as durable_rules arranges them."""

    def __init__(self) -> None:
        self.pending = 1
        """The most comparisons that can be pending at once; of equalities of one attribute only one can hold."""
        self._below: dict[Comparison, _Branch] = {}
        self._equal: dict[str, int] = {}
        """By attribute, the most that are pending after one of its equalities."""
        self._others = 0
        self._ends = 0

    def add(self, alternative: Alternative, at: int = 0) -> bool:
        """Count an alternative; return whether all limits of durable_rules are kept."""
        if at == len(alternative):
            self._ends += 1
            return self._ends <= ENDS_MAX
        comparison = alternative[at]
        below = self._below.get(comparison)
        before = 0 if below is None else below.pending
        if below is None:
            below = self._below[comparison] = _Branch()
        fits = below.add(alternative, at + 1)
        if comparison.operator == "eq":
            self._equal[comparison.name] = max(self._equal.get(comparison.name, 0), below.pending)
        else:
            self._others += below.pending - before
        self.pending = max(1, sum(self._equal.values()) + self._others)
        return fits and self.pending <= PENDING_MAX and len(self._below) <= BRANCHES_MAX


def in_rule_sets(numbered: list[tuple[int, Alternative]]) -> Iterator[list[tuple[int, Alternative]]]:
    """Divide alternatives, each with the position of its rule, into as few rule sets as the limits allow."""
    usage = Counter(comparison for _, alternative in numbered for comparison in alternative)

    def order(comparison: Comparison) -> tuple[bool, int, Comparison]:
        return comparison.operator != "eq", -usage[comparison], comparison

    part: list[tuple[int, Alternative]] = []
    root = _Branch()
    for place, unordered in numbered:
        alternative = tuple(sorted(set(unordered), key=order))
        if not root.add(alternative) or len(part) == ACTIONS_MAX:
            yield part
            part, root = [], _Branch()
            root.add(alternative)
        part.append((place, alternative))
    if part:
        yield part


class _Library(NamedTuple):
    """The parts of durable_rules that are used: its engine, and the function that frees a rule set by its handle."""

    engine: Any
    free: Callable[[object], object]


def require_durable_rules() -> _Library:
    """Return durable_rules, which only this engine needs: the extra `durable`. Raises: EngineMissing."""
    try:
        import durable_rules_engine  # noqa: PLC0415 -- see above
        from durable import engine  # noqa: PLC0415 -- see above
    except ImportError as missing:
        raise EngineMissing(
            "the engine durable needs durable_rules, which is not installed; install territory[durable], "
            "for which a C compiler must be there, or set TERRITORY_ASSIGNER_ENGINE=index"
        ) from missing
    return _Library(engine, durable_rules_engine.delete_ruleset)


class RuleSet:
    """One rule set of durable_rules, freed with this object.

    It has no host. A host's timers would fetch results before the call that waits for them, and a host
    never drops a rule set. durable_rules frees the rules, but not the session in which facts are
    asserted: about 12 kB a rule stay in memory.
    """

    def __init__(self, alternatives: list[tuple[int, Alternative]], holding: set[int]) -> None:
        library = require_durable_rules()
        definition = {
            f"r{number}": {
                "all": [{"m": {"$and": [comparison.document() for comparison in alternative]}}],
                "run": _recorder(place, holding),
            }
            for number, (place, alternative) in enumerate(alternatives)
        }
        self._rules = library.engine.Ruleset(f"territory-{next(_names)}", None, definition)
        self._nothing_holds: type[Exception] = library.engine.MessageNotHandledException
        weakref.finalize(self, library.free, self._rules._handle)  # noqa: SLF001 -- it has no other name

    def evaluate(self, fact: dict[str, int | str]) -> None:
        """Add the positions of the rules that hold for a fact to `holding`."""
        try:
            state = self._rules.assert_fact(fact)
        except self._nothing_holds:
            return
        self._rules.do_actions(state, _raise_error)
        self._rules.retract_fact(fact)


def _recorder(place: int, holding: set[int]) -> Callable[[object], None]:
    def record(_: object) -> None:  # durable_rules checks that there is one argument
        holding.add(place)

    return record


def _raise_error(error: BaseException | None, _: object) -> None:
    if error is not None:
        raise error
